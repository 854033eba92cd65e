"""Base class of readers of evaluation sets without a published list: the list is what the data root holds."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.core.files import resolve_data
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.kitti_calibration import read_table
from mdtk.datasets.reader import DatasetReader, DataSource, Offset
from mdtk.datasets.splits import load_split, text_path
from mdtk.geometry.camera import intrinsics

T = TypeVar("T", bound="ScannedReader")
NOMINAL_FOCAL = 1.0  # focal length over image width where the set has no intrinsics for an image


class ScannedReader(DatasetReader):
    """Single images with ground truth, for evaluation. A line is the path of an image below the root, without suffix.

    The list of a protocol is that of the data root (`splits.text_path`) or a text file, else every image that the set
    has for it, sorted.
    """

    @classmethod
    def open(cls: type[T], source: DataSource, split: str) -> T:
        """See `DatasetReader.open`; a list that is not written down is made from the files of the data root."""
        if reason := cls.absent_reason(source):
            raise MdtkError(reason)
        root = resolve_data(source.root)
        if Path(split).suffix == ".txt" or text_path(root, split).is_file():
            return cls(root, [cls.entry(line) for line in load_split(split, root).lines], source.intrinsics)
        lines = sorted(cls.scan(root, split.rpartition("/")[2]))
        if not lines:
            raise MdtkError(f"{cls.key}: {root} holds no image of {split}; {cls.hint}")
        return cls(root, lines, source.intrinsics)

    @classmethod
    def entry(cls, line: str) -> str:
        """A line of a list as this reader writes it; readers that know a published list's form say so."""
        return line

    @classmethod
    @abc.abstractmethod
    def scan(cls, root: Path, part: str) -> list[str]:
        """The lines of the part of the set: images that have ground truth, below `root`."""

    @abc.abstractmethod
    def image_file(self, line: str) -> Path:
        """The image of a line."""

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        if any(offset != 0 for offset in offsets):
            raise MdtkError(f"{self.key} is read image by image, without neighbours; evaluate on it, do not train")
        return [self.inside(self.image_file(self.lines[index]))] * len(offsets)

    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        return [open_rgb(path) for path in self.files(index, offsets)]

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """See `DatasetReader.intrinsics`; a nominal camera where the set has none for the image."""
        width, height = size
        return intrinsics(NOMINAL_FOCAL * width, NOMINAL_FOCAL * width, (width - 1) / 2, (height - 1) / 2)


def below(root: Path, pattern: str, ending: str) -> list[str]:
    """Paths below `root` that match a glob, without their `ending`."""
    return [path.relative_to(root).as_posix().removesuffix(ending) for path in root.glob(pattern)]


def read_numbers(path: Path, shape: tuple[int, ...], what: str) -> np.ndarray:
    """A text file of finite numbers as an array of `shape` float64. Raises `MdtkError` for another content."""
    return read_table(path, what, f"it must hold {' x '.join(map(str, shape))} numbers: extract it again", shape)
