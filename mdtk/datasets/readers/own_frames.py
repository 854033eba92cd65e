"""The user's own frames: folders of images or video files, the intrinsics in pixels, depth PNGs and poses if any.

Frames are numbered from 0, in natural order of their file names or in the order of the video. With a STRIDE of s an
offset of 1 means s frames, and the targets of `train`, `val` and `all` are s frames apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from mdtk.config.sections import SequenceSection
from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file, resolve_data
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.image_files import open_rgb, read_grey_png
from mdtk.datasets.reader import DatasetReader, DataSource, Offset
from mdtk.datasets.sequence.clips import SPLITS, Camera, Clip, moving, part, read_list, targets_of, unique_names
from mdtk.datasets.sequence.frames import list_frames
from mdtk.datasets.sequence.video_frames import VIDEO_SUFFIXES, extract_frames
from mdtk.geometry.camera import intrinsics

POSES = "poses.txt"  # beside the frames, where DATA.SEQUENCE.POSES names no files
NOMINAL_FOCAL = 0.8  # assumed focal length over image width of an unknown camera: 64 degrees across, like a phone's


@dataset_reader("sequence")
class SequenceReader(DatasetReader):
    """Reads folders of frames or videos. Entries are "<clip name> <frame number>"."""

    hint: ClassVar[str] = "see docs/custom_data.md"
    roots_differ: ClassVar[bool] = False

    def __init__(
        self,
        clips: Sequence[Clip],
        entries: Sequence[tuple[int, int]],
        camera: Camera | None,
        stride: int = 1,
        depth_scale: float = 1000.0,
        static: frozenset[str] = frozenset(),
    ) -> None:
        """A reader of `entries`, pairs of clip index and frame number.

        `camera` None stands for an unknown camera, `depth_scale` is the value of one metre in the depth PNGs, and
        `static` holds the names of the entries that hardly move.
        """
        super().__init__(clips[0].frames[0].parent, [f"{clips[c].name} {frame}" for c, frame in entries])
        self.clips = list(clips)
        self.entries = list(entries)
        self.camera = camera
        self.stride = stride
        self.depth_scale = depth_scale
        self._static = static

    @classmethod
    def open(cls, source: DataSource, split: str) -> SequenceReader:
        """A reader of the sequences of `source`; `split` is train, val, all, or a text file (see `clips.read_list`).

        Each entry has all frames of `source.sources`. Raises `MdtkError` if that leaves no entry, or if K is unknown
        although the source needs it (not with MODEL.LEARN_INTRINSICS, and not for evaluations).
        """
        sequence = source.sequence
        if reason := cls.absent_reason(source):
            raise MdtkError(reason)
        split = (source.val_split or split) if split == "val" else split
        camera = _camera(sequence, source.needs_camera)
        clips = _clips(source)
        gaps = [offset * sequence.stride for offset in source.sources]
        targets = [targets_of(clip, gaps, sequence.stride) for clip in clips]
        live = [moving(clip, frames, gaps, sequence.min_motion) for clip, frames in zip(clips, targets, strict=True)]
        if split in SPLITS:
            chosen = targets if split == "all" else [part(m, gaps, sequence.val_fraction, split) for m in live]
            entries = [(index, frame) for index, frames in enumerate(chosen) for frame in frames]
        else:
            entries = read_list(split, clips, gaps)
        if not entries:
            raise MdtkError(_empty(sequence, split, clips))
        still = {(i, f) for i in range(len(clips)) for f in set(targets[i]) - set(live[i])}
        static = frozenset(f"{clips[i].name} {f}" for i, f in still & set(entries))
        return cls(clips, entries, camera, sequence.stride, sequence.depth_scale, static)

    @classmethod
    def absent_reason(cls, source: DataSource) -> str:
        """Why there is no data: DATA.SEQUENCE.PATHS is empty. An empty text if it is not."""
        if not source.sequence.paths:
            return "DATA.SEQUENCE.PATHS is empty; name folders of frames or video files"
        return ""

    def recording(self, index: int) -> str:
        """See `DatasetReader.recording`: the clip."""
        return self.clips[self.entries[index][0]].name

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        """The image files of the entry at `offsets`, in strides. Raises `MdtkError` for one that does not exist."""
        clip_index, frame = self.entries[index]
        clip = self.clips[clip_index]
        paths = []
        for offset in offsets:
            if not isinstance(offset, int):
                raise MdtkError("sequence has no stereo pairs; set DATA.STEREO false")
            place = frame + offset * self.stride
            if not 0 <= place < len(clip.frames):
                raise MdtkError(f"{self.name(index)}: no frame at offset {offset}; {clip.name} has {len(clip.frames)}")
            paths.append(clip.frames[place])
        return paths

    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        """The RGB images of the entry at `offsets`, at their stored size."""
        return [open_rgb(path) for path in self.files(index, offsets)]

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """K (3, 3) float64 at `size`, from DATA.SEQUENCE.K or, for an unknown camera, from `NOMINAL_FOCAL`."""
        if self.camera is not None:
            return self.camera.matrix(size)
        width, height = size
        focal = NOMINAL_FOCAL * width
        return intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2)

    def depth_file(self, index: int) -> Path:
        """The depth PNG of the entry, existing or not: the stem of its frame in the depth folder of its clip."""
        clip_index, frame = self.entries[index]
        clip = self.clips[clip_index]
        if clip.depth is None:
            raise MdtkError(f"{clip.name} has no ground truth; name a folder of depth PNGs in DATA.SEQUENCE.DEPTH")
        return clip.depth / f"{clip.frames[frame].stem}.png"

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32 in metres from the PNG of the entry, 0 where unknown."""
        if kind:
            raise MdtkError(f"sequence has one kind of ground truth, its depth PNGs; it has no '{kind}'")
        hint = "evaluate on a text list of frames that have one"
        return read_grey_png(self.depth_file(index), "depth PNG", hint, eight_bits=True) / np.float32(self.depth_scale)

    def pose(self, index: int, offset: int = 0) -> np.ndarray:
        """See `DatasetReader.pose`; `offset` counts strides."""
        clip, frame = self.entries[index]
        return self.clips[clip].pose(frame + offset * self.stride)

    def pairs_of(self, name: str) -> SequenceReader:
        """A reader of one whole clip: each frame, in strides, that has a next one."""
        place = next((place for place, clip in enumerate(self.clips) if clip.name == name), -1)
        if place < 0:
            known = ", ".join(clip.name for clip in self.clips)
            raise MdtkError(f"there is no clip {name} in DATA.SEQUENCE.PATHS; there are {known}")
        frames = range(0, len(self.clips[place].frames) - self.stride, self.stride)
        entries = [(place, frame) for frame in frames]
        return SequenceReader(self.clips, entries, self.camera, self.stride, self.depth_scale, self._static)

    def static_names(self) -> frozenset[str]:
        """Names of the entries below DATA.SEQUENCE.MIN_MOTION; `train` and `val` hold none."""
        return self._static


def _camera(sequence: SequenceSection, needed: bool) -> Camera | None:
    if sequence.K:
        (fx, fy, cx, cy), (width, height) = sequence.K, sequence.K_size
        if min(fx, fy) <= 0:
            raise MdtkError(f"DATA.SEQUENCE.K {list(sequence.K)}: fx and fy must be positive")
        return Camera((fx, fy, cx, cy), (width, height))
    if needed:
        raise MdtkError(
            "DATA.SEQUENCE.K is empty; give fx, fy, cx, cy in pixels and K_SIZE, or set MODEL.LEARN_INTRINSICS true"
        )
    return None


def _clips(source: DataSource) -> list[Clip]:
    sequence, base = source.sequence, resolve_data(source.root) if source.root else None
    paths = [base / path if base else resolve_data(path) for path in sequence.paths]
    depths = _beside(sequence.depth, paths, base, "DEPTH", "folders")
    poses = _beside(sequence.poses, paths, base, "POSES", "files")
    for depth in depths:
        if depth is not None and not depth.is_dir():
            raise MdtkError(f"depth folder not found: {depth}; correct DATA.SEQUENCE.DEPTH or leave it empty")
    if not sequence.poses:
        poses = [path / POSES if is_file(path / POSES) else None for path in paths]
    return [
        Clip(name, tuple(_frames(path)), depth, pose)
        for name, path, depth, pose in zip(unique_names(paths), paths, depths, poses, strict=True)
    ]


def _beside(given: Sequence[str], paths: Sequence[Path], base: Path | None, key: str, what: str) -> list[Path | None]:
    """What a key names for each of PATHS; nothing for all where it is empty. Another number of them is an error."""
    if given and len(given) != len(paths):
        raise MdtkError(
            f"DATA.SEQUENCE.{key} names {len(given)} {what} for {len(paths)} DATA.SEQUENCE.PATHS; "
            "give one for each path"
        )
    found: list[Path | None] = [base / path if base else resolve_data(path) for path in given]
    return found or [None] * len(paths)


def _frames(path: Path) -> list[Path]:
    if path.is_dir():
        return list_frames(path)
    if path.is_file() or path.suffix.lower() in VIDEO_SUFFIXES:
        return list_frames(extract_frames(path))
    raise MdtkError(f"sequence not found: {path}; DATA.SEQUENCE.PATHS takes folders of frames and video files")


def _empty(sequence: SequenceSection, split: str, clips: Sequence[Clip]) -> str:
    frames = sum(len(clip.frames) for clip in clips)
    return (
        f"split '{split}' of DATA.SEQUENCE.PATHS has no entry ({frames} frames, VAL_FRACTION {sequence.val_fraction}, "
        f"MIN_MOTION {sequence.min_motion}); change these keys, or add frames"
    )
