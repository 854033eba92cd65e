"""Your own frames: folders of images or video files, with the camera's intrinsics in pixels, and depth PNGs if any.

A frame number is the position in its folder's natural order, or in the video, from 0. STRIDE s makes an offset of one
count s frames, and lets `train`, `val` and `all` start from every s-th frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.core.files import resolve_data
from mdtk.datasets.image_files import read_grey_png
from mdtk.datasets.reader import DatasetReader, Offset, open_rgb
from mdtk.datasets.sequence.clips import SPLITS, Camera, Clip, moving, part, read_list, targets_of, unique_names
from mdtk.datasets.sequence.frames import list_frames
from mdtk.datasets.sequence.video_frames import VIDEO_SUFFIXES, extract_frames
from mdtk.geometry.camera import intrinsics

if TYPE_CHECKING:
    from yacs.config import CfgNode

NOMINAL_FOCAL = 0.8  # focal length over image width where the camera is unknown: about 64 degrees across, as of a phone


class SequenceReader(DatasetReader):
    """Folders of frames or videos. Entries are "<clip name> <frame number>"."""

    key: ClassVar[str] = "sequence"
    hint: ClassVar[str] = "see docs/custom_data.md"

    def __init__(
        self,
        clips: Sequence[Clip],
        entries: Sequence[tuple[int, int]],
        camera: Camera | None,
        stride: int = 1,
        depth_scale: float = 1000.0,
        static: frozenset[str] = frozenset(),
    ) -> None:
        """`entries`: (clip, frame number). `camera` None: the nominal guess. `depth_scale`: PNG value of one metre."""
        super().__init__(clips[0].frames[0].parent, [f"{clips[c].name} {frame}" for c, frame in entries])
        self.clips = list(clips)
        self.entries = list(entries)
        self.camera = camera
        self.stride = stride
        self.depth_scale = depth_scale
        self._static = static

    @classmethod
    def from_config(
        cls,
        node: CfgNode,
        split: str,
        allow_unknown_intrinsics: bool = False,
        offsets: Sequence[int] | None = None,
    ) -> SequenceReader:
        """The sequences of a DATA node. `split`: train, val, all, or a text file of lines "<clip> <frame number>".

        `offsets` that an entry must have on both sides; None: DATA.SOURCES. `allow_unknown_intrinsics`: an empty
        DATA.SEQUENCE.K gives a nominal guess instead of an error (for MODEL.LEARN_INTRINSICS).
        """
        sequence = node.SEQUENCE
        offsets = list(node.SOURCES if offsets is None else offsets)
        _check_keys(sequence)
        camera = _camera(sequence, allow_unknown_intrinsics)
        clips = _clips(node)
        gaps = [offset * sequence.STRIDE for offset in offsets]
        targets = [targets_of(clip, gaps, sequence.STRIDE) for clip in clips]
        live = [moving(clip, frames, gaps, sequence.MIN_MOTION) for clip, frames in zip(clips, targets, strict=True)]
        if split in SPLITS:
            chosen = targets if split == "all" else [part(m, gaps, sequence.VAL_FRACTION, split) for m in live]
            entries = [(index, frame) for index, frames in enumerate(chosen) for frame in frames]
        else:
            entries = read_list(split, clips, gaps)
        if not entries:
            raise MdtkError(_empty(sequence, split, clips))
        still = {(i, f) for i in range(len(clips)) for f in set(targets[i]) - set(live[i])}
        static = frozenset(f"{clips[i].name} {f}" for i, f in still & set(entries))
        return cls(clips, entries, camera, sequence.STRIDE, sequence.DEPTH_SCALE, static)

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        """The image files of the entry at `offsets`."""
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
        """The frames of the entry at `offsets` as they are stored."""
        return [open_rgb(path) for path in self.files(index, offsets)]

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        """K of the user moved to the frame's own `size`, or the nominal guess for an unknown camera."""
        if self.camera is not None:
            return self.camera.matrix(size)
        width, height = size
        focal = NOMINAL_FOCAL * width
        return intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2)

    def depth_file(self, index: int) -> Path:
        """The entry's depth PNG (existing or not): the frame's stem in the clip's depth folder."""
        clip_index, frame = self.entries[index]
        clip = self.clips[clip_index]
        if clip.depth is None:
            raise MdtkError(f"{clip.name} has no ground truth; name a folder of depth PNGs in DATA.SEQUENCE.DEPTH")
        return clip.depth / f"{clip.frames[frame].stem}.png"

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32 in metres from the entry's PNG, 0 where unknown."""
        if kind:
            raise MdtkError(f"sequence has one kind of ground truth, its depth PNGs; it has no '{kind}'")
        hint = "evaluate on a text list of frames that have one"
        return read_grey_png(self.depth_file(index), "depth PNG", hint, eight_bits=True) / np.float32(self.depth_scale)

    def static_names(self) -> frozenset[str]:
        """Entries of this split below DATA.SEQUENCE.MIN_MOTION (`train` and `val` hold none)."""
        return self._static


def _check_keys(sequence: CfgNode) -> None:
    if not sequence.PATHS:
        raise MdtkError("DATA.SEQUENCE.PATHS is empty; name folders of frames or video files")
    if sequence.STRIDE < 1:
        raise MdtkError(f"DATA.SEQUENCE.STRIDE is {sequence.STRIDE}; it must be at least 1")
    if not 0 <= sequence.VAL_FRACTION < 1:
        raise MdtkError(f"DATA.SEQUENCE.VAL_FRACTION is {sequence.VAL_FRACTION}; it takes 0 up to (not with) 1")
    if sequence.DEPTH_SCALE <= 0:
        raise MdtkError(f"DATA.SEQUENCE.DEPTH_SCALE is {sequence.DEPTH_SCALE}; it must be positive")
    if sequence.DEPTH and len(sequence.DEPTH) != len(sequence.PATHS):
        raise MdtkError(
            f"DATA.SEQUENCE.DEPTH names {len(sequence.DEPTH)} folders for {len(sequence.PATHS)} DATA.SEQUENCE.PATHS; "
            "give one a path"
        )


def _camera(sequence: CfgNode, allow_unknown: bool) -> Camera | None:
    if not sequence.K:
        if allow_unknown:
            return None
        raise MdtkError(
            "DATA.SEQUENCE.K is empty; give fx, fy, cx, cy in pixels and K_SIZE, or set MODEL.LEARN_INTRINSICS true"
        )
    if len(sequence.K) != 4 or len(sequence.K_SIZE) != 2:
        raise MdtkError("DATA.SEQUENCE.K takes fx, fy, cx, cy in pixels and needs DATA.SEQUENCE.K_SIZE width, height")
    numbers = [*sequence.K, *sequence.K_SIZE]
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in numbers):
        raise MdtkError(f"DATA.SEQUENCE.K {sequence.K} and K_SIZE {sequence.K_SIZE} must be numbers")
    if min(sequence.K[0], sequence.K[1], *sequence.K_SIZE) <= 0:
        raise MdtkError(f"DATA.SEQUENCE.K {sequence.K}: fx, fy and K_SIZE {sequence.K_SIZE} must be positive")
    return Camera(tuple(map(float, sequence.K)), tuple(map(float, sequence.K_SIZE)))


def _clips(node: CfgNode) -> list[Clip]:
    base = resolve_data(node.ROOT) if node.ROOT else None
    paths = [base / path if base else resolve_data(path) for path in node.SEQUENCE.PATHS]
    depths = [base / path if base else resolve_data(path) for path in node.SEQUENCE.DEPTH] or [None] * len(paths)
    for depth in depths:
        if depth is not None and not depth.is_dir():
            raise MdtkError(f"depth folder not found: {depth}; correct DATA.SEQUENCE.DEPTH or leave it empty")
    return [
        Clip(name, tuple(_frames(path)), depth)
        for name, path, depth in zip(unique_names(paths), paths, depths, strict=True)
    ]


def _frames(path: Path) -> list[Path]:
    if path.is_dir():
        return list_frames(path)
    if path.is_file() or path.suffix.lower() in VIDEO_SUFFIXES:
        return list_frames(extract_frames(path))
    raise MdtkError(f"sequence not found: {path}; DATA.SEQUENCE.PATHS takes folders of frames and video files")


def _empty(sequence: CfgNode, split: str, clips: Sequence[Clip]) -> str:
    frames = sum(len(clip.frames) for clip in clips)
    return (
        f"split '{split}' of DATA.SEQUENCE.PATHS has no entry ({frames} frames, VAL_FRACTION {sequence.VAL_FRACTION}, "
        f"MIN_MOTION {sequence.MIN_MOTION}); change these keys, or add frames"
    )
