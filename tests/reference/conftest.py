"""Where the reference vectors are: MDTK_REFERENCE, else ../shared/reference, else tests/data/reference."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Reference:
    """A folder of reference vectors; `seed` and `gain` come from its `meta.json`, the fill rule from its `fill.py`."""

    folder: Path

    def npz(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    def json(self, name: str) -> dict:
        return json.loads((self.folder / f"{name}.json").read_text())

    @property
    def seed(self) -> int:
        return self.json("meta")["seed"]

    def filled(self, keys: dict[str, list[int]], gain_key: str = "") -> dict[str, np.ndarray]:
        """A state dict for `keys` (name → shape), each array filled from its own name."""
        spec = importlib.util.spec_from_file_location("reference_fill", self.folder / "fill.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        gain = self.json("meta").get("gain", {}).get(gain_key, 1.0)
        return {name: module.fill_value(name, tuple(shape), self.seed, gain) for name, shape in keys.items()}

    def images(self, channels: int) -> np.ndarray:
        """The input of the stored network outputs: (2, 3 or 6, 64, 96) float32 in 0..1."""
        offset = 1 if channels == 3 else 2
        return np.random.default_rng(self.seed + offset).random((2, channels, 64, 96)).astype(np.float32)


def find_reference() -> Path | None:
    if folder := os.environ.get("MDTK_REFERENCE"):
        return Path(folder)
    for folder in (PROJECT.parent / "shared" / "reference", PROJECT / "tests" / "data" / "reference"):
        if (folder / "meta.json").is_file():
            return folder
    return None


@pytest.fixture(scope="session")
def reference() -> Reference:
    folder = find_reference()
    if folder is None:
        pytest.skip("no reference vectors (set MDTK_REFERENCE)")
    assert (folder / "meta.json").is_file(), f"MDTK_REFERENCE={folder} holds no meta.json"
    return Reference(folder)
