"""What every dataset tells the rest of the toolkit: names, frames, calibration, ground truth, files."""

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
from mdtk.core.files import resolve_data
from mdtk.datasets.splits import load_split
from mdtk.geometry.camera import resize_K

Offset = int | str  # a frame offset, or STEREO
STEREO = "s"  # the other camera of the rig at the target's time


@dataclass(frozen=True)
class DataSource:
    """Where a dataset is and how it is read: what the DATA and ROOTS keys say."""

    root: str  # as the recipe names it
    intrinsics: str = "nominal"
    sources: tuple[int, ...] = ()  # frame offsets that an entry needs
    sequence: SequenceSection = field(default_factory=SequenceSection)
    needs_camera: bool = True  # False: frames whose K is unknown will do
    val_split: str = ""  # what a protocol's list "val" means; empty: the reader decides


class DatasetReader(abc.ABC):
    """One dataset over one split list. An entry is one line of the list in its published text form.

    `root` is the data root; `intrinsics_mode` "nominal" (published constants) or "calibrated".
    Everything here is in the dataset's *native* image: what `images` returns after the dataset's own
    undistortion and crop, before any resize. Unknown entries and missing files raise `MdtkError` naming them.
    """

    key: ClassVar[str]  # the name that it is registered under
    roots_differ: ClassVar[bool] = True  # False: it has no root of its own in ROOTS
    hint: ClassVar[str] = "see datasets/README.md for the expected tree"  # closes "not found" errors

    def __init__(self, root: str | Path, lines: Sequence[str], intrinsics_mode: str = "nominal") -> None:
        self.root = Path(root)
        self.lines = list(lines)
        self.intrinsics_mode = intrinsics_mode
        if not self.root.is_dir():
            raise MdtkError(f"data root of {self.key} not found: {self.root}; {self.hint}")

    @classmethod
    def open(cls, source: DataSource, split: str) -> DatasetReader:
        """The reader of a data root over the list `split`: one of the root's own, a published one, or a text file."""
        if reason := cls.absent_reason(source):
            raise MdtkError(reason)
        path = resolve_data(source.root)
        return cls(path, load_split(split, path).lines, source.intrinsics)

    @classmethod
    def absent_reason(cls, source: DataSource) -> str:
        """Why there is no data, in one sentence; empty where there is some."""
        path = resolve_data(source.root)
        if path.is_dir():
            return ""
        generated = Path(source.root).parts[:1] == ("sample",)
        hint = f"python tools/make_sample_data.py --output {path.parent} makes it" if generated else cls.hint
        return f"data root of {cls.key} not found: {path}; {hint}"

    def __len__(self) -> int:
        return len(self.lines)

    def name(self, index: int) -> str:
        """The entry's unique name: predictions and ground truth are joined by it."""
        return self.lines[index]

    @abc.abstractmethod
    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        """The native RGB images of the entry at `offsets` (0: the entry's own), decoded once each."""

    @abc.abstractmethod
    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """K (3, 3) float64 in pixels of the native image of `size` = (width, height); pixel centres at integers."""

    def resized_intrinsics(self, index: int, native: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """K (3, 3) float64 in pixels of the image resized from `native` to `size`, both (width, height)."""
        return resize_K(self.intrinsics(index, native), native, size)

    @abc.abstractmethod
    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        """The image files that `images` would open (existing or not), for checks."""

    def stereo_pose(self, index: int) -> tuple[int, float]:
        """(sign, baseline): x of the other camera ← target translation is sign × baseline, baseline in metres.

        Sign -1 when the target is the left camera, +1 when it is the right one.
        """
        raise MdtkError(f"{self.key} has no stereo pairs; set DATA.STEREO false")

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32 in metres in the dataset's ground-truth frame, 0 where unknown.

        `kind` names one of several, where the dataset has them; empty: its usual one.
        """
        raise MdtkError(f"{self.key} has no ground truth")

    def static_names(self) -> frozenset[str]:
        """Names of entries known to stand still."""
        return frozenset()
