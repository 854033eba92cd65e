"""Reader of TUM RGB-D (Sturm et al. 2012): frames matched by time with depth and with the measured trajectory."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.image_files import read_grey_png
from mdtk.datasets.pose_files import NEAREST, read_trajectory
from mdtk.datasets.scanned import ScannedReader
from mdtk.geometry.camera import intrinsics

SCALE = 5000.0  # stored value of one metre
CAMERAS = {  # fx, fy, cx, cy of the benchmark's page, by the number in a sequence's name
    "freiburg1": (517.3, 516.5, 318.6, 255.3),
    "freiburg2": (520.9, 521.0, 325.1, 249.7),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
}


@functools.lru_cache(maxsize=64)
def _times(folder: Path) -> tuple[np.ndarray, tuple[Path, ...]]:
    paths = sorted(folder.glob("*.png"), key=lambda path: seconds(path.stem, path))
    return np.array([seconds(path.stem, path) for path in paths]), tuple(paths)


def seconds(text: str, origin: object) -> float:
    """The time in a file's name or a line of a list; `origin` is named where it is none."""
    try:
        return float(text)
    except ValueError as error:
        raise MdtkError(f"{origin}: {text} is no time in seconds; the benchmark names files by it") from error


@dataset_reader("tum_rgbd")
class TumRgbd(ScannedReader):
    """<root>/rgbd_dataset_freiburg*/rgb/<time>.png, depth/<time>.png (metres × 5000) and groundtruth.txt."""

    hint = "set ROOTS.TUM_RGBD or MDTK_DATASETS; see datasets/README.md for the expected tree"

    @classmethod
    def scan(cls, root: Path, part: str) -> list[str]:
        """Every frame with a depth image at most 0.02 s away, as "<sequence>/<time>"."""
        found = []
        for path in root.glob("*/rgb/*.png"):
            times, _ = _times(path.parents[1] / "depth")
            if times.size and np.abs(times - seconds(path.stem, path)).min() <= NEAREST:
                found.append(f"{path.parts[-3]}/{path.stem}")
        return found

    @classmethod
    def entry(cls, line: str) -> str:
        """Also SlowTV's lines, "<sequence> rgb/<time>.png depth/<time>.png"; depth is the nearest in time."""
        return line.partition(" depth/")[0].replace(" rgb/", "/").removesuffix(".png")

    def image_file(self, line: str) -> Path:
        sequence, _, time = line.partition("/")
        return self.root / sequence / "rgb" / f"{time}.png"

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32 in metres of the depth image nearest in time, 0 where unknown."""
        sequence, _, time = self.lines[index].partition("/")
        times, paths = _times(self.inside(self.root / sequence / "depth"))
        now = seconds(time, self.lines[index])
        if not times.size or np.abs(times - now).min() > NEAREST:
            raise MdtkError(f"{self.lines[index]}: no depth image within {NEAREST} s; take the frame off the list")
        path = self.inside(paths[int(np.abs(times - now).argmin())])
        return read_grey_png(path, "ground truth", "extract the sequence again") / np.float32(SCALE)

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        name = next((name for name in CAMERAS if name in self.lines[index]), "freiburg1")
        return intrinsics(*CAMERAS[name])

    def pose(self, index: int, offset: int = 0) -> np.ndarray:
        """See `DatasetReader.pose`; that of the trajectory's nearest time."""
        sequence, _, time = self.lines[index].partition("/")
        times, world_T_camera = read_trajectory(self.inside(self.root / sequence / "groundtruth.txt"))
        if times is None:
            raise MdtkError(f"{self.root / sequence}/groundtruth.txt: has no times; extract the sequence again")
        return np.asarray(world_T_camera[int(np.abs(times - seconds(time, self.lines[index])).argmin())])
