"""Recognises the format of a published checkpoint and converts it to a native one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mdtk.config import check, override
from mdtk.convert import timm_files
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
BACKBONES = ("MODEL.ENCODER", "MODEL.POSE_ENCODER")  # may be given for ImageNet weights: which backbones they are of


def recognise(path: str | os.PathLike[str], backbone: bool = False) -> str:
    """The format (a key of `CONVERTERS`) of a checkpoint, by the files of a folder or the content of a file.

    `backbone`: a file that nothing else tells is said to hold a backbone.
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
    if path.suffix == ".safetensors":
        return "imagenet"
    if path.suffix == ".pdparams":
        if path.stem in ("encoder", "depth", "pose_encoder", "pose"):
            raise MdtkError(f"{path}: one network of a Paddle checkpoint; give its folder, {path.parent}")
        return "imagenet"
    return _recognise_torch(path, backbone)


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


def _recognise_torch(path: Path, backbone: bool) -> str:
    content = read_torch(path)
    if content.get("format") == "mdtk":
        raise MdtkError(f"{path}: is a native checkpoint already; use it as it is")
    if "encoder" in content and "depth" in content:
        return "bdedepth"
    parameters = timm_files.unwrapped(content)
    if "conv1.weight" in parameters and "encoder.conv1.weight" not in parameters:
        return "imagenet"
    if path.stem in ("encoder", "depth", "pose_encoder", "pose"):
        raise MdtkError(f"{path}: one network of a Monodepth2 checkpoint; give its folder, {path.parent}")
    if backbone or timm_files.stated_name(path) or timm_files.name_in_file_name(path, parameters):
        return "imagenet"
    raise MdtkError(
        f"{path}: not a checkpoint that this project knows ({', '.join(CONVERTERS)}); its keys begin with "
        f"{', '.join(map(str, list(content)[:5])) or 'nothing'}; if it is a backbone's, {timm_files.GIVE_NAME}"
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
        overrides: `KEY VALUE` pairs for what the files do not state (DATA.*, EVAL.*, MODEL.MIN_DEPTH, MODEL.MAX_DEPTH;
            for ImageNet weights MODEL.ENCODER and MODEL.POSE_ENCODER).
        pose_path: only for ImageNet weights: those of the pose encoder, if it is another backbone.

    Raises:
        MdtkError: lists every parameter whose name or shape does not fit; or the file or an option is wrong.
    """
    if format not in ("auto", *CONVERTERS):
        raise MdtkError(f"--format {format}: choose auto, {', '.join(CONVERTERS)}")
    names = dict(zip(overrides[::2], overrides[1::2], strict=False))
    if format == "auto":
        format = recognise(path, backbone=BACKBONES[0] in names)
    changeable = (*CHANGEABLE, *(BACKBONES if format == "imagenet" else ()))
    for key in names:
        if not key.startswith(changeable):
            raise MdtkError(
                f"{key}: a conversion takes this from the checkpoint; only DATA.*, EVAL.*, "
                "MODEL.MIN_DEPTH and MODEL.MAX_DEPTH may be given"
            )
    if format == "imagenet":
        encoders = [names.get(key, "") for key in BACKBONES]
        converted = convert_imagenet(Path(path), None if pose_path is None else Path(pose_path), *encoders)
    elif pose_path is not None:
        raise MdtkError(f"--pose_input goes with the ImageNet weights of a backbone; {path} is a {format} checkpoint")
    else:
        converted = CONVERTERS[format](Path(path))
    override(converted.cfg, overrides)
    check(converted.cfg)
    if not converted.meta.get("partial"):
        _check_fit(converted, f"{path} does not fit {' '.join(overrides) or 'its own options'}")
        converted.meta |= {"height": converted.cfg.DATA.HEIGHT, "width": converted.cfg.DATA.WIDTH}
    return converted


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
