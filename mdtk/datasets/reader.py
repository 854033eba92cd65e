"""The base class of dataset readers: names, images, intrinsics, ground truth and files of the entries of a list."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from mdtk.config.sections import SequenceSection
from mdtk.core.errors import MdtkError
from mdtk.core.files import inside, resolve_data
from mdtk.datasets.splits import load_split
from mdtk.geometry.camera import resize_K

Offset = int | str  # a frame offset, or STEREO
STEREO = "s"  # the other camera of the rig at the target's time


@dataclass(frozen=True)
class DataSource:
    """Where a dataset is and how it is read, from the keys DATA and ROOTS."""

    root: str  # data root as the recipe names it
    intrinsics: str = "nominal"
    sources: tuple[int, ...] = ()  # frame offsets that every entry must have
    sequence: SequenceSection = field(default_factory=SequenceSection)
    needs_camera: bool = True  # False: K may be unknown
    val_split: str = ""  # the list that a protocol's list "val" stands for; empty: the reader decides


class DatasetReader(abc.ABC):
    """Reads the entries of one split list of a dataset. An entry is one line of the list in its published text form.

    `root` is the data root, `intrinsics_mode` "nominal" (published constants) or "calibrated". Images, intrinsics and
    sizes belong to the *native* image: after the dataset's own undistortion and crop, before any resizing. All methods
    raise `MdtkError` that names the entry or the file for an unknown entry or a missing file.
    """

    key: ClassVar[str]  # the name under which the reader is registered
    roots_differ: ClassVar[bool] = True  # False: the dataset has no root of its own in ROOTS
    hint: ClassVar[str] = "see datasets/README.md for the expected tree"  # the advice in "not found" messages

    def __init__(self, root: str | Path, lines: Sequence[str], intrinsics_mode: str = "nominal") -> None:
        self.root = Path(root)
        self.lines = list(lines)
        self.dataset = self.key  # "sequence_2" for the second training set of a dataset without a root of its own
        self.intrinsics_mode = intrinsics_mode
        if not self.root.is_dir():
            raise MdtkError(f"data root of {self.key} not found: {self.root}; {self.hint}")

    @classmethod
    def open(cls, source: DataSource, split: str) -> DatasetReader:
        """A reader of the entries of the list `split` (see `splits.load_split`) in the data root of `source`."""
        if reason := cls.absent_reason(source):
            raise MdtkError(reason)
        path = resolve_data(source.root)
        return cls(path, load_split(split, path).lines, source.intrinsics)

    @classmethod
    def absent_reason(cls, source: DataSource) -> str:
        """Why there is no data at `source`, in one sentence; an empty text if there is."""
        path = resolve_data(source.root)
        if path.is_dir():
            return ""
        generated = Path(source.root).parts[:1] == ("sample",)
        hint = f"python tools/make_sample_data.py --output {path.parent} makes it" if generated else cls.hint
        return f"data root of {cls.key} not found: {path}; {hint}"

    def __len__(self) -> int:
        return len(self.lines)

    def inside(self, path: Path) -> Path:
        """`path`, which the list or a folder names, if it lies below the data root; an `MdtkError` otherwise."""
        return inside(self.root, path, f"{self.key} list", links=True)

    def name(self, index: int) -> str:
        """The unique name of the entry, by which predictions and ground truth are matched."""
        return self.lines[index]

    def recording(self, index: int) -> str:
        """The drive, scene or video that the entry is of: its images are not independent of each other.

        Unless a dataset says otherwise, the name up to its last "/"; without one, every image is its own.
        """
        folder, slash, _ = self.name(index).rpartition("/")
        return folder if slash else self.name(index)

    @abc.abstractmethod
    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        """The native RGB images of the entry at `offsets`; 0 is the frame of the entry itself."""

    @abc.abstractmethod
    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """K (3, 3) float64 in pixels of the native image, whose size is `size` = (width, height)."""

    def resized_intrinsics(self, index: int, native: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """K (3, 3) float64 in pixels of the image after resizing from `native` to `size`, both (width, height)."""
        return resize_K(self.intrinsics(index, native), native, size)

    @abc.abstractmethod
    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        """The image files, existing or not, that `images` would open."""

    def stereo_pose(self, index: int) -> tuple[int, float]:
        """The motion from the target to the other camera of the stereo rig, as (sign, baseline in metres).

        The x translation of other_T_target is sign × baseline: sign is -1 when the target is the left camera, +1 when
        it is the right one. Raises `MdtkError` for a dataset without stereo pairs.
        """
        raise MdtkError(f"{self.key} has no stereo pairs; set DATA.STEREO false")

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """The ground-truth depth (H, W) float32 of the entry in metres, 0 where unknown.

        `kind` names one of the dataset's kinds of ground truth; empty: the usual one. Raises `MdtkError` if there is
        none.
        """
        raise MdtkError(f"{self.key} has no ground truth")

    def pose(self, index: int, offset: int = 0) -> np.ndarray:
        """world_T_camera (4, 4) float64 of the entry's frame at `offset`, in metres.

        Raises `MdtkError` for a dataset without poses, or a frame that has none.
        """
        raise MdtkError(f"{self.key} has no poses")

    def ground_truth_files(self, index: int, kind: str = "") -> list[Path]:
        """The files, existing or not, that `ground_truth` would open; none: no ground truth, or in the image's file."""
        return []

    def static_names(self) -> frozenset[str]:
        """The names of the entries in which the camera is known to stand still."""
        return frozenset()
