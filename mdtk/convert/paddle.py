"""Converts checkpoints of the PaddlePaddle ports, folders of `.pdparams`, without Paddle.

Two forms exist. A pure state dict is saved as {name: array, "StructuredToParameterName@@": …}; a dictionary that also
holds plain numbers keeps each tensor as a tuple (internal name, array). Arrays too large for the older pickle
protocols are cut into slices that "UnpackBigParamInfor@@" puts together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mdtk.convert.assemble import PARTS, SIZES, Published, assemble, read_options
from mdtk.convert.transfer import ConvertedCheckpoint
from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import reading
from mdtk.core.pickles import load_plain

NAME_TABLE = "StructuredToParameterName@@"
SLICE_TABLE = "UnpackBigParamInfor@@"


def read_pdparams(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a `.pdparams` file by parameter name, and its plain values by name.

    Raises `MdtkError` for other content.
    """
    require_file(path, "checkpoint", "give an existing file")
    with reading(path, "Paddle file", "fetch it again"), path.open("rb") as file:
        content = load_plain(file, str(path))
    if not isinstance(content, dict):
        raise MdtkError(f"{path}: holds a {type(content).__name__}, not a dictionary of parameters")
    content = {name: value for name, value in content.items() if name != NAME_TABLE}
    slices = content.pop(SLICE_TABLE, {})
    arrays: dict[str, np.ndarray] = {}
    values: dict[str, Any] = {}
    for name, value in content.items():
        if not isinstance(name, str):
            raise MdtkError(f"{path}: the key {name!r} is not a parameter name")
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], np.ndarray):
            value = value[1]
        (arrays if isinstance(value, np.ndarray) else values)[name] = value
    return _join_slices(arrays, slices, path), values


def _join_slices(arrays: dict[str, np.ndarray], table: Any, path: Path) -> dict[str, np.ndarray]:
    """Puts sliced arrays together; `table` is {name: {"OriginShape": shape, "slices": [names of its flat parts]}}."""
    if not isinstance(table, dict):
        raise MdtkError(f"{path}: {SLICE_TABLE} is a {type(table).__name__}, not a table")
    for name, entry in table.items():
        try:
            names = entry["slices"]
            if not all(isinstance(part, str) for part in names):
                raise TypeError("a slice's name is not text")
            parts = [arrays.pop(part).reshape(-1) for part in names]
            arrays[name] = np.concatenate(parts).reshape(entry["OriginShape"])
        except (LookupError, TypeError, ValueError) as error:
            raise MdtkError(f"{path}: the slices of {name} do not fit together ({error}); fetch it again") from error
    return arrays


def torch_names(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays in PyTorch's form: batch-norm statistics renamed, fully connected weights transposed."""
    renamed = {}
    for name, array in arrays.items():
        stem, _, leaf = name.rpartition(".")
        leaf = {"_mean": "running_mean", "_variance": "running_var"}.get(leaf, leaf)
        renamed[f"{stem}.{leaf}" if stem else leaf] = array.T if leaf == "weight" and array.ndim == 2 else array
    return renamed


def convert_paddle(path: Path) -> ConvertedCheckpoint:
    """Converts the folder `path` of encoder.pdparams, depth.pdparams, pose_encoder.pdparams, pose.pdparams.

    Raises `MdtkError` for a folder without encoder.pdparams, or with content that does not fit.
    """
    if not (path / "encoder.pdparams").is_file():
        raise MdtkError(f"{path}: no encoder.pdparams in it; give the folder of a Paddle checkpoint")
    parts, settings = {}, read_options(path)
    for part in PARTS:
        file = path / f"{part}.pdparams"
        if not file.is_file():
            continue
        arrays, values = read_pdparams(file)
        strange = [name for name in values if part != "encoder" or name not in SIZES]
        if strange:
            raise MdtkError(f"{file}: unexpected values that are not arrays: {', '.join(strange[:30])}")
        for name, value in values.items():
            if not isinstance(value, (int, float)):
                raise MdtkError(f"{file}: {name} is a {type(value).__name__}, not a number")
        parts[part] = torch_names(arrays)
        settings |= values
    return assemble(Published(str(path), "paddle", parts, settings, has_counters=False))
