"""Reader of ETH3D (Schöps et al. 2017), high-resolution training images with raw float depth, in Marigold's tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.scanned import ScannedReader

SIZE = (4032, 6048)  # rows and columns of the published depth; an image may be some pixels larger
HINT = "extract ETH3D's <scene>_dslr_jpg and <scene>_dslr_depth below the data root"


@dataset_reader("eth3d")
class Eth3d(ScannedReader):
    """<root>/rgb/<scene>/images/dslr_images/<name>.JPG and depth/<scene>/ground_truth_depth/dslr_images/<name>.JPG.

    The depth file is raw float32, rows of an image of the photograph's size or of 4032x6048; inf is unknown.
    """

    hint = "set ROOTS.ETH3D or MDTK_DATASETS; see datasets/README.md for the expected tree"

    @classmethod
    def scan(cls, root: Path, part: str) -> list[str]:
        """Every photograph that has depth, as "<scene>/<name>"."""
        found = root.glob("depth/*/ground_truth_depth/dslr_images/*.JPG")
        return [f"{path.parts[-4]}/{path.stem}" for path in found]

    def image_file(self, line: str) -> Path:
        scene, _, name = line.partition("/")
        return self.root / "rgb" / scene / "images" / "dslr_images" / f"{name}.JPG"

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32 in metres, 0 where unknown."""
        scene, _, name = self.lines[index].partition("/")
        path = self.root / "depth" / scene / "ground_truth_depth" / "dslr_images" / f"{name}.JPG"
        size = require_file(self.inside(path), "ground truth", HINT).stat().st_size
        if size == 4 * SIZE[0] * SIZE[1]:
            shape = SIZE
        else:
            width, height = open_rgb(self.files(index, [0])[0]).size
            shape = (height, width)
        if size != 4 * shape[0] * shape[1]:
            raise MdtkError(f"{path}: has {size} bytes, not the floats of {shape[1]}x{shape[0]} pixels; {HINT}")
        depth = np.fromfile(path, "<f4").reshape(shape)
        return np.where(np.isfinite(depth), depth, 0).astype(np.float32)
