"""Writes checkpoints in the published layouts, for tests: names → arrays in, files out."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

Arrays = Mapping[str, np.ndarray]


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def write_monodepth2(folder: Path, parts: Mapping[str, Arrays], height: int = 64, width: int = 96) -> Path:
    """A folder of one `.pth` a network; the encoder's also holds the input size."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, arrays in parts.items():
        content: dict = tensors(arrays)
        if part == "encoder":
            content |= {"height": height, "width": width, "use_stereo": False}
        torch.save(content, folder / f"{part}.pth")
    return folder


def write_bdedepth(
    path: Path, parts: Mapping[str, Arrays], height: int = 64, width: int = 96, **training: object
) -> Path:
    """One `.pth` of everything; `training` adds the trainer's state."""
    content = {part: tensors(arrays) for part, arrays in parts.items()}
    torch.save({**content, "height": height, "width": width, "use_stereo": False, **training}, path)
    return path


class _TupleOfParts:
    """Pickles as a call of `tuple` on a tuple, as Paddle's tensors do."""

    def __init__(self, *items: object) -> None:
        self.items = items

    def __reduce__(self) -> tuple:
        return tuple, (self.items,)


def write_paddle(folder: Path, parts: Mapping[str, Arrays], height: int = 64, width: int = 96) -> Path:
    """A folder of `.pdparams`: the encoder, which holds plain numbers, in the second form, the others in the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, arrays in parts.items():
        if part == "encoder":
            content: dict = {
                name: _TupleOfParts(f"tensor_{i}", array) for i, (name, array) in enumerate(arrays.items())
            }
            content |= {"height": height, "width": width, "use_stereo": False}
        else:
            content = {**arrays, "StructuredToParameterName@@": {name: f"p_{name}" for name in arrays}}
        (folder / f"{part}.pdparams").write_bytes(pickle.dumps(content, protocol=4))
    return folder


def params_bytes(arrays: Arrays, magic: int = 0xF993FAC9) -> bytes:
    """An MXNet NDArray list."""
    codes = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}
    out = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        dims = struct.pack(f"<i{array.ndim}q", array.ndim, *array.shape)
        out += [struct.pack("<Ii", magic, 0), dims, struct.pack("<iii", 1, 0, codes[array.dtype.name])]
        out.append(np.ascontiguousarray(array).tobytes())
    out.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        out += [struct.pack("<Q", len(name)), name.encode("ascii")]
    return b"".join(out)


def write_params(path: Path, arrays: Arrays) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(params_bytes(arrays))
    return path
