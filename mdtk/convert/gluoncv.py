"""Converts checkpoints of GluonCV's Monodepth2: one `.params` file of the depth and one of the pose network.

Gluon stores every decoder under two names; the copies must agree.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mdtk.convert import infer
from mdtk.convert.assemble import Published, assemble, read_options
from mdtk.convert.mxnet_params import read_params
from mdtk.convert.transfer import ConvertedCheckpoint
from mdtk.core.errors import MdtkError

ENCODER = "encoder.encoder."
SECOND_COPY = {"depth": "decoder.decoder.", "pose": "decoder.net."}
Arrays = dict[str, np.ndarray]  # by parameter name


def convert_gluoncv(path: Path) -> ConvertedCheckpoint:
    """Converts a depth file, or a folder with one depth file and at most one pose file, told apart by their content.

    Raises `MdtkError` for other files.
    """
    files = [path] if path.is_file() else sorted(path.glob("*.params"))
    found: dict[str, list[Path]] = {"depth": [], "pose": []}
    contents = {file: read_params(file) for file in files}
    for file, arrays in contents.items():
        found[_kind(arrays, file)].append(file)
    if len(found["depth"]) != 1 or len(found["pose"]) > 1:
        listing = "; ".join(f"{kind}: {', '.join(f.name for f in names) or 'none'}" for kind, names in found.items())
        raise MdtkError(f"{path}: needs one depth file and at most one pose file, has {listing}; give one of each")
    parts: dict[str, Arrays] = {}
    for kind, names in found.items():
        if names:
            encoder, decoder = _split(contents[names[0]], kind, names[0])
            parts["encoder" if kind == "depth" else "pose_encoder"] = encoder
            parts[kind] = decoder
    settings = read_options(path if path.is_dir() else path.parent)
    return assemble(Published(str(path), "gluoncv", parts, settings, has_counters=False))


def _kind(arrays: Arrays, file: Path) -> str:
    """`depth` or `pose`, as the number of images tells that the encoder takes."""
    return "depth" if infer.in_frames(arrays, f"{ENCODER}conv1.weight", str(file)) == 1 else "pose"


def _split(arrays: Arrays, kind: str, file: Path) -> tuple[Arrays, Arrays]:
    """The parameters of the encoder and of the decoder, with Monodepth2's names."""
    encoder: Arrays = {}
    first: Arrays = {}
    second: Arrays = {}
    for name, array in arrays.items():
        if name.startswith(ENCODER):
            encoder[_torch_name(name.removeprefix("encoder."))] = array
        elif name.startswith(SECOND_COPY[kind]):
            second[name.removeprefix(SECOND_COPY[kind])] = array
        elif re.match(r"decoder\.\d", name):
            first[name.removeprefix("decoder.")] = array
        else:
            raise MdtkError(f"{file}: unexpected: {name}; it is no GluonCV Monodepth2 {kind} network")
    differing = [name for name in sorted(first.keys() | second.keys()) if not _agree(first, second, name)]
    if differing:
        raise MdtkError(
            f"{file}: the decoder's two copies disagree at {', '.join(differing[:30])}; the file is damaged"
        )
    prefix = "decoder." if kind == "depth" else "net."
    return encoder, {f"{prefix}{name}": array for name, array in first.items()}


def _agree(first: Arrays, second: Arrays, name: str) -> bool:
    return name in first and name in second and np.array_equal(first[name], second[name])


def _torch_name(name: str) -> str:
    """The name in PyTorch of a parameter; Gluon calls the weight and bias of batch norm gamma and beta."""
    stem, _, leaf = name.rpartition(".")
    return f"{stem}.{ {'gamma': 'weight', 'beta': 'bias'}.get(leaf, leaf) }"
