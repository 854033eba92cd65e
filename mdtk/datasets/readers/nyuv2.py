"""Reader of NYU Depth v2: raw frames for training, the official labelled test images for evaluation."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import h5py
import numpy as np
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.hdf5_files import open_hdf5, stored_dataset
from mdtk.datasets.image_files import find_image, open_rgb
from mdtk.datasets.reader import STEREO, DatasetReader, Offset
from mdtk.geometry.camera import intrinsics

SIZE = (640, 480)  # pixels of every image as it is published
RGB_K = (518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465)  # fx, fy, cx, cy
# k1, k2, p1, p2, k3 of the colour camera, from the dataset's toolbox
RGB_DISTORTION = (
    0.20796615318809061,
    -0.58613825163911781,
    7.2231363135888329e-4,
    1.0479627195765181e-3,
    0.49856986684705107,
)
TRAIN_BOX = (16, 16, 624, 464)  # left, top, right, bottom: 608x448; undistortion leaves its border without image
TEST_BOX = (40, 44, 601, 471)  # 561x427: where the official labels have valid depth
OFFSETS = (0, -4, -3, -2, -1, 1, 2, 3, 4)  # frame offsets of the nine columns in a training line
LARGEST = 64 << 20  # bytes of the arrays of one image
LABELED = "nyu_depth_v2_labeled.mat"


@functools.lru_cache(maxsize=1)
def _undistortion_maps() -> tuple[np.ndarray, np.ndarray]:
    matrix = intrinsics(*RGB_K)
    return cv2.initUndistortRectifyMap(matrix, np.array(RGB_DISTORTION), None, matrix, SIZE, cv2.CV_16SC2)


def undistort(image: Image.Image) -> Image.Image:
    """An image of the colour camera without lens distortion; parts that the camera does not show are black."""
    return Image.fromarray(cv2.remap(np.asarray(image), *_undistortion_maps(), cv2.INTER_LINEAR))


@dataset_reader("nyuv2")
class NYUv2(DatasetReader):
    """NYU Depth v2, whose lists have two kinds of lines.

    A training line holds nine image paths below the root, of the frames 0, -4 … -1, 1 … 4; the first one is the name of
    the entry. The native image is undistorted and 16 pixels are cut off on each side. A test line is "nyu_test/%05d.h5"
    with the official number of the image, from 1; it is read from that file or, if that is missing, from the official
    nyu_depth_v2_labeled.mat below the root, and cropped to 561x427. Intrinsics are the constants of the dataset's
    toolbox in both modes.
    """

    hint = "set ROOTS.NYUV2 or MDTK_DATASETS; see datasets/README.md for the expected tree"

    def name(self, index: int) -> str:
        return self.lines[index].split(maxsplit=1)[0]

    def is_test(self, index: int) -> bool:
        """Whether the entry is a labelled test image."""
        return self.lines[index].endswith(".h5")

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        if STEREO in offsets:
            raise MdtkError("nyuv2 has no stereo pairs; set DATA.STEREO false")
        if self.is_test(index):
            return [self._test_file(index)]
        fields = self.lines[index].split()
        if len(fields) != len(OFFSETS):
            raise MdtkError(
                f"nyuv2 list, line {index + 1}: has {len(fields)} columns; a training line is nine image paths "
                f"(frames {', '.join(map(str, OFFSETS))}), a test line nyu_test/<id>.h5"
            )
        return [self._frame_path(fields, offset) for offset in offsets]

    def _frame_path(self, fields: list[str], offset: Offset) -> Path:
        if offset not in OFFSETS:
            raise MdtkError(f"nyuv2 lists have the frames -4 … 4, not {offset}; set DATA.SOURCES within them")
        path = self.root / fields[OFFSETS.index(offset)].lstrip("/")
        return self.inside(find_image(path.with_suffix(""), (path.suffix, ".ppm", ".png", ".jpg")))

    def _test_file(self, index: int) -> Path:
        own, labeled = self.root / self.lines[index], self.root / LABELED
        return labeled if is_file(labeled) and not is_file(own) else self.inside(own)

    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        if not self.is_test(index):
            return [_training_image(path) for path in self.files(index, offsets)]
        if any(offset != 0 for offset in offsets):
            raise MdtkError(
                f"{self.name(index)}: a labelled NYU image has no neighbours; evaluate it, do not train on it"
            )
        image = Image.fromarray(np.ascontiguousarray(self._stored(index, "rgb").transpose(1, 2, 0)))
        return [image.crop(TEST_BOX)] * len(offsets)

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        left, top, right, bottom = TEST_BOX if self.is_test(index) else TRAIN_BOX
        if tuple(size) != (right - left, bottom - top):
            raise MdtkError(
                f"{self.name(index)}: K belongs to {right - left}x{bottom - top} pixels, not {size[0]}x{size[1]}"
            )
        fx, fy, cx, cy = RGB_K
        return intrinsics(fx, fy, cx - left, cy - top)

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        if not self.is_test(index):
            raise MdtkError("nyuv2: raw training frames have no aligned depth; evaluate on nyuv2/test")
        left, top, right, bottom = TEST_BOX
        depth = self._stored(index, "depth")[top:bottom, left:right].astype(np.float32)
        return np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0)

    def _stored(self, index: int, what: str) -> np.ndarray:
        """The full "rgb" (3, 480, 640) uint8 or "depth" (480, 640) of a test entry."""
        path = self._test_file(index)
        if path.name == LABELED:
            values = _read_labeled(path, what, self.official_id(index))
        else:
            hint = f"put the per-image .h5 files or the official {LABELED} below {self.root}"
            with open_hdf5(path, hint) as file:
                values = _read_whole(stored_dataset(file, what, path), path)
        expected = (3, *SIZE[::-1]) if what == "rgb" else SIZE[::-1]
        if values.shape != expected:
            raise MdtkError(f"{path}: {what} has shape {values.shape}, not {expected}; it is not NYU Depth v2")
        return values

    def official_id(self, index: int) -> int:
        """The official number of a test image, from 1."""
        stem = Path(self.lines[index]).stem
        if not stem.isdigit():
            raise MdtkError(
                f"nyuv2 list, line {index + 1}: '{self.lines[index]}' has no number; it is nyu_test/<id>.h5"
            )
        return int(stem)


def _read_labeled(path: Path, what: str, number: int) -> np.ndarray:
    """One image or depth of the official file, whose arrays are in Matlab's column order: (1449, [3,] 640, 480)."""
    with open_hdf5(path, "fetch the official file again") as file:
        stored = stored_dataset(file, "images" if what == "rgb" else "depths", path)
        if not 1 <= number <= len(stored):
            raise MdtkError(f"{path}: has {len(stored)} images, no number {number}; fetch the official file")
        if stored.shape[1:] != ((3, *SIZE) if what == "rgb" else SIZE):
            raise MdtkError(f"{path}: its {stored.name} are {stored.shape}; fetch the official file")
        return np.swapaxes(stored[number - 1], -1, -2)


def _read_whole(stored: h5py.Dataset, path: Path) -> np.ndarray:
    if stored.nbytes > LARGEST:
        raise MdtkError(f"{path}: its {stored.name} is {stored.shape}, of which an image has no need; fetch it again")
    return np.asarray(stored)


def _training_image(path: Path) -> Image.Image:
    image = open_rgb(path)
    if image.size != SIZE:
        raise MdtkError(f"{path}: is {image.width}x{image.height} pixels; raw NYU frames are 640x480")
    return undistort(image).crop(TRAIN_BOX)
