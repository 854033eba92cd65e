"""Reader of MPI Sintel (Butler et al. 2012), training frames with depth and cameras."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.scanned import ScannedReader, below

TAG = 202021.25  # the float that depth and camera files begin with
HINT = "extract MPI-Sintel-depth-training below the data root"


@dataset_reader("sintel")
class Sintel(ScannedReader):
    """<root>/training/final|clean/<scene>/frame_%04d.png, depth/<scene>/frame_%04d.dpt, camdata_left/….cam."""

    hint = "set ROOTS.SINTEL or MDTK_DATASETS; see datasets/README.md for the expected tree"

    @classmethod
    def scan(cls, root: Path, part: str) -> list[str]:
        """Every frame that has depth, as "final/<scene>/frame_%04d" or, of the part train_clean, "clean/…"."""
        render = "clean" if part.endswith("clean") else "final"
        return [f"{render}/{line}" for line in below(root / "training" / "depth", "*/*.dpt", ".dpt")]

    def image_file(self, line: str) -> Path:
        return self.root / "training" / f"{line}.png"

    def _beside(self, index: int, folder: str, suffix: str) -> Path:
        return self.root / "training" / folder / f"{self.lines[index].partition('/')[2]}{suffix}"

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32; the sky has huge values, which protocols cap."""
        path = self._beside(index, "depth", ".dpt")
        content = require_file(path, "ground truth", HINT).read_bytes()
        tag, width, height = struct.unpack("<fii", content[:12]) if len(content) >= 12 else (0.0, 0, 0)
        if tag != TAG or len(content) != 12 + 4 * width * height:
            raise MdtkError(f"{path}: is not a whole .dpt file; {HINT}")
        return np.frombuffer(content[12:], "<f4").reshape(height, width).astype(np.float32)

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        return self._camera(index)[0]

    def pose(self, index: int, offset: int = 0) -> np.ndarray:
        """See `DatasetReader.pose`; the files hold camera_T_world."""
        return np.linalg.inv(self._camera(index)[1])

    def _camera(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        path = self._beside(index, "camdata_left", ".cam")
        content = require_file(path, "camera", HINT).read_bytes()
        if len(content) != 4 + 8 * 21 or struct.unpack("<f", content[:4])[0] != np.float32(TAG):
            raise MdtkError(f"{path}: is not a whole .cam file; {HINT}")
        numbers = np.frombuffer(content[4:], "<f8")
        camera_T_world = np.eye(4)
        camera_T_world[:3] = numbers[9:].reshape(3, 4)
        return numbers[:9].reshape(3, 3).copy(), camera_T_world
