"""Readers of Cityscapes: the official tree (for evaluation) and prepared triplets of frames (for training)."""

from __future__ import annotations

import functools
import glob
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file
from mdtk.core.guard import read_json, read_text, reading
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.depth_files import numbered_path, read_npy
from mdtk.datasets.image_files import find_image, open_rgb, read_grey_png
from mdtk.datasets.reader import STEREO, DatasetReader, Offset
from mdtk.datasets.splits import load_split
from mdtk.geometry.camera import intrinsics

SIZE = (2048, 1024)  # pixels of every image as it is published
KEPT_ROWS = 768  # the lower quarter shows the car's own bonnet
SPLITS = ("train", "val", "test")  # a city belongs to one of them
_FRAME = "a line is '<city> <city>_<sequence>_<frame>'"


def parse_line(line: str, key: str, number: int) -> tuple[str, str, int]:
    """The city, the sequence ("ulm_000002") and the frame of a line. Raises `MdtkError` for a line of another form."""
    fields = line.split()
    parts = fields[1].split("_") if len(fields) == 2 else []
    if len(parts) != 3 or parts[0] != fields[0] or not parts[2].isdigit():
        raise MdtkError(f"{key} list, line {number}: cannot read '{line}'; {_FRAME}")
    return fields[0], f"{parts[0]}_{parts[1]}", int(parts[2])


def read_camera(path: Path) -> tuple[np.ndarray, float]:
    """K (3, 3) float64 in pixels of the full image, and the stereo baseline in metres, from a camera file."""
    hint = "extract camera_trainvaltest.zip (and camera for test) below the data root"
    camera = read_json(path, "camera file", hint)
    with reading(path, "camera file", "extract it again"):
        fx, fy, cx, cy = (float(camera["intrinsic"][key]) for key in ("fx", "fy", "u0", "v0"))
        baseline = float(camera["extrinsic"]["baseline"])
    if not (0 < fx < 1e6 and 0 < fy < 1e6 and abs(cx) < 1e6 and abs(cy) < 1e6 and 0 < baseline < 1e3):
        raise MdtkError(f"camera file cannot be read: {path} holds numbers of no camera; extract it again")
    return intrinsics(fx, fy, cx, cy), baseline


def open_full(path: Path) -> Image.Image:
    """Opens a published image with all its 2048x1024 pixels. Raises `MdtkError` for another size."""
    image = open_rgb(path)
    if image.size != SIZE:
        raise MdtkError(f"{path}: is {image.width}x{image.height} pixels; Cityscapes' images are 2048x1024")
    return image


def disparity_to_depth(path: Path, focal_baseline: float) -> np.ndarray:
    """Depth (H, W) float32 in metres, 0 where unknown, from a disparity PNG; `focal_baseline` is fx · baseline.

    Cityscapes' documentation gives the disparity in pixels as (p - 1) / 256 for values p > 0.
    """
    stored = read_grey_png(path, "disparity", "extract Cityscapes' disparity package below the data root")
    disparity = (stored - 1) / 256
    depth = np.zeros_like(disparity)
    np.divide(np.float32(focal_baseline), disparity, out=depth, where=disparity > 0)
    return depth


@dataset_reader("cityscapes")
class Cityscapes(DatasetReader):
    """Cityscapes' official tree. Lines are "<city> <city>_<seq>_<frame>"; offsets count frames of leftImg8bit_sequence.

    The native image is the upper 768 of 1024 rows. Intrinsics are those of the camera file in both modes. Ground truth
    is <root>/gt_depths/%03d_depth.npy, numbered by the list cityscapes/test, if that folder exists, else it is computed
    from disparity and camera files; it has the same 768 rows. The kind "disparity" is always computed, with 1024 rows.
    """

    hint = "set ROOTS.CITYSCAPES or MDTK_DATASETS; see datasets/README.md for the expected tree"

    def __init__(self, root: str | Path, lines: Sequence[str], intrinsics_mode: str = "nominal") -> None:
        super().__init__(root, lines, intrinsics_mode)
        self._homes: dict[tuple[str, str], Path] = {}

    def _parsed(self, index: int) -> tuple[str, str, int]:
        return parse_line(self.lines[index], self.key, index + 1)

    def _home(self, package: str, city: str) -> Path:
        """The folder of a city in a package ("camera", …), which may lie in a folder named after its archive."""
        if (package, city) not in self._homes:
            bases = [self.root / package, self.root / f"{package}_trainvaltest" / package]
            choices = [base / split / city for base in bases for split in SPLITS]
            self._homes[package, city] = next((path for path in choices if path.is_dir()), choices[2])
        return self._homes[package, city]

    def _image_path(self, city: str, sequence: str, frame: int) -> Path:
        name = f"{sequence}_{frame:06d}_leftImg8bit"
        paths = [find_image(self._home(package, city) / name) for package in ("leftImg8bit_sequence", "leftImg8bit")]
        return self.inside(next((path for path in paths if is_file(path)), paths[0]))

    def recording(self, index: int) -> str:
        """See `DatasetReader.recording`: the sequence of a city."""
        return parse_line(self.lines[index], self.key, index + 1)[1]

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        city, sequence, frame = self._parsed(index)
        if STEREO in offsets:
            raise MdtkError("cityscapes: the right images are not read; set DATA.STEREO false")
        return [self._image_path(city, sequence, frame + int(offset)) for offset in offsets]

    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        return [open_full(path).crop((0, 0, SIZE[0], KEPT_ROWS)) for path in self.files(index, offsets)]

    def camera_path(self, index: int) -> Path:
        """The camera file of the entry, or the first one of its sequence."""
        city, sequence, frame = self._parsed(index)
        path = self._home("camera", city) / f"{sequence}_{frame:06d}_camera.json"
        if is_file(path):
            return self.inside(path)
        return self.inside(next(iter(sorted(path.parent.glob(f"{glob.escape(sequence)}_*_camera.json"))), path))

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        if tuple(size) != (SIZE[0], KEPT_ROWS):
            raise MdtkError(
                f"cityscapes: K belongs to 2048x768 pixels, not {size[0]}x{size[1]}; use the original images"
            )
        return read_camera(self.camera_path(index))[0]

    def disparity_path(self, index: int) -> Path:
        """The disparity PNG of the entry."""
        city, sequence, frame = self._parsed(index)
        name = f"{sequence}_{frame:06d}_disparity.png"
        paths = [self._home(package, city) / name for package in ("disparity", "disparity_sequence")]
        return self.inside(next((path for path in paths if is_file(path)), paths[0]))

    def _depth_from_disparity(self, index: int) -> np.ndarray:
        K, baseline = read_camera(self.camera_path(index))
        return disparity_to_depth(self.disparity_path(index), float(K[0, 0]) * baseline)

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        """The number in gt_depths of each line: its position in the list cityscapes/test of the data root."""
        return {line: number for number, line in enumerate(load_split("cityscapes/test", self.root).lines)}

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        folder, line = self.root / "gt_depths", self.lines[index]
        if kind == "disparity":
            return self._depth_from_disparity(index)
        stored = folder.is_dir() and line in self._numbers
        depth = read_npy(numbered_path(folder, self._numbers[line])) if stored else self._depth_from_disparity(index)
        if depth.shape not in (SIZE[::-1], (KEPT_ROWS, SIZE[0])):
            raise MdtkError(f"{self.name(index)}: ground truth is {depth.shape[1]}x{depth.shape[0]}, not 2048x1024")
        return depth[:KEPT_ROWS]


@dataset_reader("cityscapes_prepared")
class CityscapesPrepared(DatasetReader):
    """Triplets of frames two apart, each in one file <city>/<city>_<seq>_<frame>.png|jpg with its K in …_cam.txt.

    The frames are one above the other (BDEdepth) or side by side (ManyDepth, SfMLearner), as the image's shape tells.
    """

    hint = "make it with tools/prepare_cityscapes.py, or set ROOTS.CITYSCAPES_PREPARED"

    def _stem(self, index: int) -> Path:
        city, sequence, frame = parse_line(self.lines[index], self.key, index + 1)
        return self.inside(self.root / city / f"{sequence}_{frame:06d}")

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        return [self.inside(find_image(self._stem(index)))]

    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        wrong = [offset for offset in offsets if offset not in (-1, 0, 1)]
        if wrong:
            raise MdtkError(f"cityscapes_prepared: triplets have no frame {wrong[0]}; set DATA.SOURCES [-1, 1]")
        path = self.files(index, offsets)[0]
        parts = split_triplet(open_rgb(path), path)
        return [parts[int(offset) + 1] for offset in offsets]

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        path = self._stem(index).with_name(f"{self._stem(index).name}_cam.txt")
        hint = "run tools/prepare_cityscapes.py again"
        text = read_text(self.inside(path), "intrinsics", hint)
        with reading(path, "the 9 numbers of K", hint):
            K = np.array([float(number) for number in text.split(",")]).reshape(3, 3)
        if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0):
            raise MdtkError(f"{path}: must hold the 9 numbers of K, finite and with positive focal lengths; {hint}")
        if not (0 < K[0, 2] < size[0] and 0 < K[1, 2] < size[1]):
            raise MdtkError(f"{path}: its principal point lies outside the image of {size[0]}x{size[1]} pixels")
        return K


def split_triplet(image: Image.Image, path: Path) -> list[Image.Image]:
    """The frames -1, 0, 1 of a triplet image: side by side in a wide one, one above the other in a high one."""
    width, height = image.size
    wide = width > height
    if (width if wide else height) % 3:
        raise MdtkError(f"{path}: {width}x{height} pixels are no three frames of one size; prepare it again")
    if wide:
        return [image.crop((k * width // 3, 0, (k + 1) * width // 3, height)) for k in range(3)]
    return [image.crop((0, k * height // 3, width, (k + 1) * height // 3)) for k in range(3)]
