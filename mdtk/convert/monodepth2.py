"""Converts Monodepth2 checkpoints: a folder of encoder.pth, depth.pth, pose_encoder.pth, pose.pth."""

from __future__ import annotations

from pathlib import Path

from mdtk.convert.assemble import PARTS, SIZES, Published, assemble, read_options
from mdtk.convert.transfer import ConvertedCheckpoint, tensors_and_settings
from mdtk.core.errors import MdtkError
from mdtk.core.weights import read_torch


def convert_monodepth2(path: Path) -> ConvertedCheckpoint:
    """Converts the folder `path`; encoder.pth also holds height, width and use_stereo, and adam.pth is ignored.

    Raises `MdtkError` for a folder without encoder.pth, or with parameters that do not fit.
    """
    if not (path / "encoder.pth").is_file():
        raise MdtkError(f"{path}: no encoder.pth in it; give the folder of a Monodepth2 checkpoint")
    parts, settings = {}, read_options(path)
    for part in PARTS:
        file = path / f"{part}.pth"
        if file.is_file():
            allowed = SIZES if part == "encoder" else ()
            parts[part], found = tensors_and_settings(read_torch(file), str(file), allowed)
            settings |= found
    return assemble(Published(str(path), "monodepth2", parts, settings))
