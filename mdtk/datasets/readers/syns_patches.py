"""Reader of SYNS-Patches (Adams et al. 2016; Spencer et al. 2022): images whose ground truth only the server has."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.scanned import ScannedReader
from mdtk.geometry.camera import intrinsics

FIELD_OF_VIEW = (84.10, 25.46)  # degrees, across and down, of the published 1242x376 images


@dataset_reader("syns_patches")
class SynsPatches(ScannedReader):
    """<root>/<scene>/images/<name>.png; the lists are the published splits/val_files.txt and test_files.txt.

    A line is "<scene> <name>.png".
    """

    hint = "set ROOTS.SYNS_PATCHES or MDTK_DATASETS; see datasets/README.md for the expected tree"

    @classmethod
    def scan(cls, root: Path, part: str) -> list[str]:
        """There is nothing to scan for: the published list says which images are asked for, and in which order."""
        raise MdtkError(f"syns_patches: {root}/splits/{part}_files.txt not found; extract SYNS-Patches again")

    def image_file(self, line: str) -> Path:
        scene, _, name = line.partition(" ")
        return self.root / scene / "images" / name.strip()

    def recording(self, index: int) -> str:
        """See `DatasetReader.recording`: the scene."""
        return self.lines[index].partition(" ")[0]

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """K (3, 3) float64 from the published field of view, its centre at half the size as published."""
        fx, fy = (side // 2 / np.tan(np.radians(angle) / 2) for side, angle in zip(size, FIELD_OF_VIEW, strict=True))
        return intrinsics(float(fx), float(fy), size[0] // 2, size[1] // 2)
