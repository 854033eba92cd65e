"""Reading reference vectors: whole arrays of the full folder, or the packed and thinned ones of `vectors/`.

`thinned.json` of a thinned folder says, for each array of a file, how it was packed (undone here, to the last bit) and
which part of it was kept (an output may be compared at its kept places only: `Stored.at`). See thin_vectors.py.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from tests.reference.fill import fill_value


class Stored(dict):
    """name → array (or tensor). `kept` says of which arrays only a part is there."""

    def __init__(self, arrays: dict[str, Any], kept: dict[str, Any]) -> None:
        super().__init__(arrays)
        self.kept = kept

    def at(self, name: str, ours: Any) -> Any:
        """The places of `ours` (array or tensor, as large as the published one) that are stored under `name`."""
        return part(ours, self.kept.get(name))

    def tensors(self) -> Stored:
        """The same as tensors."""
        return Stored({name: torch.from_numpy(array) for name, array in self.items()}, self.kept)


def part(array: Any, kept: Any) -> Any:
    """`kept`: None (all), an integer k (every k-th value, flattened) or [start, stop] for each of the last axes."""
    if kept is None:
        return array
    if isinstance(kept, int):
        return array.reshape(-1)[::kept]
    return array[(..., *(slice(start, stop) for start, stop in kept))]


def to_planes(array: np.ndarray) -> np.ndarray:
    """Four-byte numbers as their bytes, the first bytes of all first: they compress better. (…) → (4, …) uint8."""
    return np.moveaxis(np.ascontiguousarray(array)[..., None].view(np.uint8), -1, 0)


def from_planes(planes: np.ndarray, dtype: str) -> np.ndarray:
    """The inverse of `to_planes`."""
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view(dtype)[..., 0]


def field(grid: np.ndarray, size: tuple[int, int], inverse: bool) -> np.ndarray:
    """A smooth map: the grid enlarged by cubic interpolation to (height, width), or 1 / that; float32."""
    enlarged = cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.float32(1) / enlarged if inverse else enlarged


def _smooth(raw: dict[str, np.ndarray], name: str, how: dict) -> np.ndarray:
    difference = from_planes(raw[f"{name}#difference"], "int32")
    near = np.stack([field(grid, difference.shape[1:], how["inverse"]) for grid in raw[f"{name}#grid"]])
    exact = (near.view(np.int32) + difference).view(np.float32)
    return np.where(raw[f"{name}#constant"] > 0, np.float32(how["levels"])[raw[f"{name}#constant"]], exact)


UNPACK: dict[str, Callable[[dict[str, np.ndarray], str, dict], np.ndarray]] = {
    "whole": lambda raw, name, how: raw[name],
    "planes": lambda raw, name, how: from_planes(raw[name], "float32"),
    "grey": lambda raw, name, how: raw[name].astype(np.float32) / np.float32(255),
    "half": lambda raw, name, how: raw[name].astype(np.float32),
    "smooth": _smooth,
}


@dataclass(frozen=True)
class Reference:
    """A folder of reference vectors; `seed` and `gain` come from its `meta.json`."""

    folder: Path

    def npz(self, name: str) -> Stored:
        """The arrays of one file."""
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as file:
            raw = {key: file[key] for key in file.files}
        packed = self.thinned.get(name)
        if packed is None:
            return Stored(raw, {})
        arrays = {key: UNPACK[how["packing"]](raw, key, how) for key, how in packed.items()}
        return Stored(arrays, {key: how["kept"] for key, how in packed.items() if how.get("kept")})

    def json(self, name: str) -> dict:
        """A JSON file, compressed or not."""
        path = self.folder / f"{name}.json"
        if path.is_file():
            return json.loads(path.read_text())
        return json.loads(gzip.decompress(path.with_name(f"{name}.json.gz").read_bytes()))

    @property
    def thinned(self) -> dict:
        """How the arrays of a thinned folder were packed; empty for a full one."""
        return self.json("thinned") if (self.folder / "thinned.json.gz").is_file() else {}

    @property
    def seed(self) -> int:
        return self.json("meta")["seed"]

    def filled(self, keys: dict[str, list[int]], gain_key: str = "") -> dict[str, np.ndarray]:
        """A state dict for `keys` (name → shape), each array filled from its own name."""
        gain = self.json("meta").get("gain", {}).get(gain_key, 1.0)
        return {name: fill_value(name, tuple(shape), self.seed, gain) for name, shape in keys.items()}

    def images(self, channels: int) -> np.ndarray:
        """The input of the stored network outputs: (2, 3 or 6, 64, 96) float32 in 0..1."""
        offset = 1 if channels == 3 else 2
        return np.random.default_rng(self.seed + offset).random((2, channels, 64, 96)).astype(np.float32)
