"""Reader of ScanNet (Dai et al. 2017) as its exporter writes scenes: colour, depth, poses and intrinsics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.image_files import find_image, read_grey_png
from mdtk.datasets.scanned import ScannedReader, read_numbers

MILLIMETRES = 1000.0  # stored value of one metre
HINT = "export the scene with ScanNet's SensReader below the data root"


@dataset_reader("scannet")
class ScanNet(ScannedReader):
    """<root>/<scene>/color/<n>.jpg, depth/<n>.png (millimetres), pose/<n>.txt, intrinsic/intrinsic_depth.txt.

    Colour is brought to the size of depth by whoever uses both; K belongs to the depth image.
    """

    hint = "set ROOTS.SCANNET or MDTK_DATASETS; see datasets/README.md for the expected tree"

    @classmethod
    def scan(cls, root: Path, part: str) -> list[str]:
        """Every frame that has depth, as "<scene>/<n>"; a published sample is a list of one's own."""
        return [f"{path.parts[-3]}/{path.stem}" for path in root.glob("scene*/depth/*.png")]

    @classmethod
    def entry(cls, line: str) -> str:
        """Also Marigold's lines, "<scene>/color/<n>.jpg <scene>/depth/<n>.png"."""
        return line.split()[0].replace("/color/", "/").removesuffix(".jpg")

    def _file(self, line: str, folder: str) -> Path:
        scene, _, number = line.partition("/")
        return self.root / scene / folder / number

    def image_file(self, line: str) -> Path:
        return find_image(self._file(line, "color"), (".jpg", ".png"))

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32 in metres, 0 where unknown."""
        path = self.inside(Path(f"{self._file(self.lines[index], 'depth')}.png"))
        return read_grey_png(path, "ground truth", HINT) / np.float32(MILLIMETRES)

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        scene = self.lines[index].partition("/")[0]
        name = "intrinsic_depth.txt" if size == (640, 480) else "intrinsic_color.txt"
        return read_numbers(self.inside(self.root / scene / "intrinsic" / name), (4, 4), "intrinsics")[:3, :3]

    def pose(self, index: int, offset: int = 0) -> np.ndarray:
        """See `DatasetReader.pose`."""
        return read_numbers(self.inside(Path(f"{self._file(self.lines[index], 'pose')}.txt")), (4, 4), "a pose")
