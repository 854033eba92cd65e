"""Reader of Make3D (Saxena et al. 2009): the 134 test images and their laser grids."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.mat_file import read_mat
from mdtk.datasets.reader import DatasetReader, Offset
from mdtk.geometry.camera import intrinsics

SIZE = (1704, 2272)  # pixels of every test image
BOX = (0, 710, 1704, 1562)  # left, top, right, bottom: the central 1704x852
GRID = (55, 305)  # rows and columns of the laser grid over the whole image
ROWS = slice(17, 38)  # rows of the grid that lie in the box
# Focal length over width and height: the inverse of the image plane's size at distance 1 in the authors' release
FOCAL = (1 / 0.70783777, 1 / 0.946584169)


@dataset_reader("make3d")
class Make3D(DatasetReader):
    """Make3D's test set, for evaluation only, since there are no neighbouring frames. A line is the id of an image.

    Images are Test134/img-<id>.jpg, cropped to the central 1704x852. Ground truth, (21, 305), is the same part of
    Gridlaserdata/depth_sph_corr-<id>.mat. Intrinsics are nominal in both modes, with the principal point in the middle
    of the whole image.
    """

    hint = "set ROOTS.MAKE3D or MDTK_DATASETS; see datasets/README.md for the expected tree"

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        return [self.inside(self.root / "Test134" / f"img-{self.lines[index]}.jpg")]

    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        if any(offset != 0 for offset in offsets):
            raise MdtkError("make3d has single images, no neighbours; evaluate on it, do not train")
        path = self.files(index, offsets)[0]
        image = _open_truncated(path)
        if image.size != SIZE:
            raise MdtkError(f"{path}: is {image.width}x{image.height} pixels; Make3D's test images are 1704x2272")
        return [image.crop(BOX)] * len(offsets)

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        if tuple(size) != (BOX[2] - BOX[0], BOX[3] - BOX[1]):
            raise MdtkError(f"{self.name(index)}: K belongs to 1704x852 pixels, not {size[0]}x{size[1]}")
        centre = [(length - 1) / 2 for length in SIZE]
        return intrinsics(FOCAL[0] * SIZE[0], FOCAL[1] * SIZE[1], centre[0] - BOX[0], centre[1] - BOX[1])

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        return read_grid(self.ground_truth_files(index)[0])[ROWS]

    def ground_truth_files(self, index: int, kind: str = "") -> list[Path]:
        return [self.inside(self.root / "Gridlaserdata" / f"depth_sph_corr-{self.lines[index]}.mat")]


def read_grid(path: Path) -> np.ndarray:
    """The depth (55, 305) float32 of a laser grid in metres: channel 3 of Position3DGrid in the .mat file."""
    hint = "extract Make3D's Test134Depth.tar.gz below the data root"
    stored = read_mat(path, "Position3DGrid", "laser grid", hint)
    if stored is None:
        raise MdtkError(f"{path}: is a .mat of another kind, it has no Position3DGrid; {hint}")
    if stored.shape != (*GRID, 4):
        raise MdtkError(f"{path}: Position3DGrid is {stored.shape}, not (55, 305, 4); {hint}")
    return stored[:, :, 3].astype(np.float32)


def _open_truncated(path: Path) -> Image.Image:
    """Opens an image like `open_rgb`, but accepts one that ends early, with a warning, as published evaluations do."""
    try:
        return open_rgb(path)
    except MdtkError as error:
        if "truncated" not in str(error):
            raise
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        image = open_rgb(path)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    warnings.warn(f"{path} ends early; its missing rows are grey", stacklevel=2)
    return image
