"""Reader of MPI Sintel (Butler et al. 2012), training frames with depth and cameras."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import check_size, reading
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.scanned import ScannedReader, below

MOST_BYTES = 64 << 20  # of a depth file; Sintel's have 1.8 MB
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

    @classmethod
    def entry(cls, line: str) -> str:
        """Also SlowTV's lines, "<scene> <frame>", of the final render."""
        scene, _, frame = line.partition(" ")
        return f"final/{scene}/{frame}" if frame else line

    def image_file(self, line: str) -> Path:
        return self.root / "training" / f"{line}.png"

    def _beside(self, index: int, folder: str, suffix: str) -> Path:
        return self.inside(self.root / "training" / folder / f"{self.lines[index].partition('/')[2]}{suffix}")

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32; the sky has huge values, which protocols cap."""
        return read_dpt(self._beside(index, "depth", ".dpt"))

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        return self._camera(index)[0]

    def pose(self, index: int, offset: int = 0) -> np.ndarray:
        """See `DatasetReader.pose`; the files hold camera_T_world."""
        return np.linalg.inv(self._camera(index)[1])

    def _camera(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return read_cam(self._beside(index, "camdata_left", ".cam"))


def read_dpt(path: Path) -> np.ndarray:
    """The map (H, W) float32 of a .dpt file. Raises `MdtkError` for another file."""
    content = _content(path, "ground truth", MOST_BYTES)
    tag, width, height = struct.unpack("<fii", content[:12]) if len(content) >= 12 else (0.0, 0, 0)
    if tag != TAG or min(width, height) < 1 or len(content) != 12 + 4 * width * height:
        raise MdtkError(f"{path}: is not a whole .dpt file; {HINT}")
    return np.frombuffer(content[12:], "<f4").reshape(height, width).astype(np.float32)


def read_cam(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """K (3, 3) and camera_T_world (4, 4), float64, of a .cam file. Raises `MdtkError` for another file."""
    content = _content(path, "camera", 4 + 8 * 21)
    tag = struct.unpack("<f", content[:4])[0] if len(content) == 4 + 8 * 21 else 0.0
    numbers = np.frombuffer(content[4:], "<f8") if tag == np.float32(TAG) else np.full(21, np.nan)
    camera_T_world = np.eye(4)
    camera_T_world[:3] = numbers[9:].reshape(3, 4)
    if not np.isfinite(numbers).all() or abs(np.linalg.det(camera_T_world[:3, :3]) - 1) > 0.1:
        raise MdtkError(f"{path}: is not a whole .cam file with a rotation; {HINT}")
    return numbers[:9].reshape(3, 3).copy(), camera_T_world


def _content(path: Path, what: str, most: int) -> bytes:
    check_size(require_file(path, what, HINT), what, most)
    with reading(path, what, HINT):
        return path.read_bytes()
