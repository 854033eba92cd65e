"""Recognises the format of a published checkpoint and converts it to a native one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mdtk.config import check, override
from mdtk.convert.bdedepth import convert_bdedepth
from mdtk.convert.gluoncv import convert_gluoncv
from mdtk.convert.imagenet import convert_imagenet
from mdtk.convert.monodepth2 import convert_monodepth2
from mdtk.convert.paddle import convert_paddle
from mdtk.convert.transfer import ConvertedCheckpoint
from mdtk.core.errors import MdtkError
from mdtk.core.guard import reading
from mdtk.core.weights import read_torch
from mdtk.models import build_model

CONVERTERS: dict[str, Callable[[Path], ConvertedCheckpoint]] = {
    "monodepth2": convert_monodepth2,
    "bdedepth": convert_bdedepth,
    "paddle": convert_paddle,
    "gluoncv": convert_gluoncv,
    "imagenet": convert_imagenet,
}

HDF5_START = b"\x89HDF\r\n\x1a\n"
MXNET_START = b"\x12\x01\0\0\0\0\0\0"
LISTED = 8  # maximum number of parameters that a message names
CHANGEABLE = ("DATA.", "EVAL.", "MODEL.MIN_DEPTH", "MODEL.MAX_DEPTH")


def recognise(path: str | os.PathLike[str]) -> str:
    """The format (a key of `CONVERTERS`) of a checkpoint, by the files of a folder or the content of a file.

    Raises `MdtkError` if there is no known checkpoint.
    """
    path = Path(path)
    if path.is_dir():
        return _recognise_folder(path)
    if not path.is_file():
        raise MdtkError(f"checkpoint not found: {path}; give a file or a folder")
    with reading(path, "checkpoint", "give a file that you may read"), path.open("rb") as file:
        start = file.read(8)
    if start == HDF5_START or path.suffix == ".h5":
        return "imagenet"
    if start == MXNET_START or path.suffix == ".params":
        return "gluoncv"
    if path.suffix == ".pdparams":
        if path.stem in ("encoder", "depth", "pose_encoder", "pose"):
            raise MdtkError(f"{path}: one network of a Paddle checkpoint; give its folder, {path.parent}")
        return "imagenet"
    return _recognise_torch(path)


def _recognise_folder(path: Path) -> str:
    for name, format_name in (("encoder.pth", "monodepth2"), ("encoder.pdparams", "paddle")):
        if (path / name).is_file():
            return format_name
    if any(path.glob("*.params")):
        return "gluoncv"
    raise MdtkError(
        f"{path}: no known checkpoint in this folder (looked for encoder.pth, encoder.pdparams, *.params); "
        "give the folder that holds the weights, or the file itself"
    )


def _recognise_torch(path: Path) -> str:
    content = read_torch(path)
    if content.get("format") == "mdtk":
        raise MdtkError(f"{path}: is a native checkpoint already; use it as it is")
    if "encoder" in content and "depth" in content:
        return "bdedepth"
    if "conv1.weight" in content and "encoder.conv1.weight" not in content:
        return "imagenet"
    if path.stem in ("encoder", "depth", "pose_encoder", "pose"):
        raise MdtkError(f"{path}: one network of a Monodepth2 checkpoint; give its folder, {path.parent}")
    raise MdtkError(
        f"{path}: not a checkpoint that this project knows ({', '.join(CONVERTERS)}); its keys begin with "
        f"{', '.join(map(str, list(content)[:5])) or 'nothing'}"
    )


def convert(
    path: str | os.PathLike[str],
    format: str = "auto",
    overrides: Sequence[str] = (),
    pose_path: str | os.PathLike[str] | None = None,
) -> ConvertedCheckpoint:
    """Converts a published checkpoint.

    Args:
        path: a file or a folder.
        format: a key of `CONVERTERS`, or `auto`.
        overrides: `KEY VALUE` pairs for what the files do not state (DATA.*, EVAL.*, MODEL.MIN_DEPTH, MODEL.MAX_DEPTH).
        pose_path: only for ImageNet weights: those of the pose encoder, if it is another backbone.

    Raises:
        MdtkError: lists every parameter whose name or shape does not fit; or the file or an option is wrong.
    """
    if format not in ("auto", *CONVERTERS):
        raise MdtkError(f"--format {format}: choose auto, {', '.join(CONVERTERS)}")
    for key in overrides[::2]:
        if not key.startswith(CHANGEABLE):
            raise MdtkError(
                f"{key}: a conversion takes this from the checkpoint; only DATA.*, EVAL.*, "
                "MODEL.MIN_DEPTH and MODEL.MAX_DEPTH may be given"
            )
    converted = _read(Path(path), recognise(path) if format == "auto" else format, pose_path)
    override(converted.cfg, overrides)
    check(converted.cfg)
    if not converted.meta.get("partial"):
        _check_fit(converted, f"{path} does not fit {' '.join(overrides) or 'its own options'}")
        converted.meta |= {"height": converted.cfg.DATA.HEIGHT, "width": converted.cfg.DATA.WIDTH}
    return converted


def _read(path: Path, name: str, pose_path: str | os.PathLike[str] | None) -> ConvertedCheckpoint:
    if pose_path is None:
        return CONVERTERS[name](path)
    if name != "imagenet":
        raise MdtkError(f"--pose_input goes with the ImageNet weights of a backbone; {path} is a {name} checkpoint")
    return convert_imagenet(path, Path(pose_path))


def _check_fit(converted: ConvertedCheckpoint, complaint: str) -> None:
    """Raises `MdtkError` if the state does not fit the networks of the changed configuration."""
    with torch.device("meta"):
        networks = build_model(converted.cfg).state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in networks.items()}
    found = {name: tuple(tensor.shape) for name, tensor in converted.state.items()}
    problems = [
        f"{name} is {found.get(name, 'missing')}, not {wanted.get(name, 'wanted')}"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]
    if problems:
        more = f"; and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise MdtkError(f"{complaint}: {'; '.join(problems[:LISTED])}{more}; leave out or change what was given")
