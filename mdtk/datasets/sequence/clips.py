"""Clips, their camera, and which frames are entries: those with all sources, that move, of train or val, or listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import resolve_data
from mdtk.datasets.sequence.frames import grey_stack, motion
from mdtk.geometry.camera import intrinsics, resize_K

MAX_STRETCH = 0.02  # between K's image and the frames, for the few rows that video codecs add
SPLITS = ("train", "val", "all")


@dataclass(frozen=True)
class Clip:
    """One sequence: its unique name, its frames in order, and the folder of its depth PNGs."""

    name: str
    frames: tuple[Path, ...]
    depth: Path | None = None


@dataclass(frozen=True)
class Camera:
    """Intrinsics fx, fy, cx, cy in pixels (pixel centres at integers) of an image of `size` = (width, height)."""

    k: tuple[float, float, float, float]
    size: tuple[float, float]

    def matrix(self, size: tuple[int, int]) -> np.ndarray:
        """K (3, 3) float64 of the same view resampled to `size` = (width, height); another shape is an error."""
        if abs(self.size[1] * size[0] / (self.size[0] * size[1]) - 1) > MAX_STRETCH:
            raise MdtkError(
                f"DATA.SEQUENCE.K_SIZE {self.size[0]:g}x{self.size[1]:g} has not the shape of the frames, {size[0]}x"
                f"{size[1]}; give the width and height of the image that K belongs to, cropped as the frames are"
            )
        return resize_K(intrinsics(*self.k), self.size, size)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """The shortest tails of the paths that tell them apart (color, or a/color and b/color); videos lose the suffix."""
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) != len(resolved):
        raise MdtkError("DATA.SEQUENCE.PATHS names one path twice; name each once")
    parts = [(*path.parts[:-1], path.name if path.is_dir() else path.stem) for path in resolved]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{name}#{index}" for index, name in enumerate(names)]  # a.mp4 and a.mov in one folder


def targets_of(clip: Clip, gaps: Sequence[int], stride: int) -> list[int]:
    """Every `stride`-th frame that has all its sources."""
    first, last = -min([0, *gaps]), len(clip.frames) - 1 - max([0, *gaps])
    targets = [frame for frame in range(0, len(clip.frames), stride) if first <= frame <= last]
    if not targets:
        raise MdtkError(
            f"{clip.name} has {len(clip.frames)} frames, too few for sources {min(gaps)} … {max(gaps)} frames away; "
            "add frames, or lower DATA.SOURCES or DATA.SEQUENCE.STRIDE"
        )
    return targets


def moving(clip: Clip, frames: list[int], gaps: Sequence[int], least: float) -> list[int]:
    """Those of `frames` whose grey change to every source `gaps` frames away is at least `least` (0: all frames)."""
    if least <= 0 or not gaps:
        return frames
    change = motion(grey_stack(clip.frames), frames, gaps)
    return [frame for frame, value in zip(frames, change, strict=True) if value >= least]


def part(frames: list[int], gaps: Sequence[int], fraction: float, split: str) -> list[int]:
    """The last `fraction` of `frames` for val; for train those whose sources stay clear of val's targets too."""
    count = max(1, round(fraction * len(frames))) if fraction > 0 and frames else 0
    if split == "val":
        return frames[len(frames) - count :]
    limit = frames[-count] if count else float("inf")
    return [frame for frame in frames if frame + max([0, *gaps]) < limit]


def read_list(split: str, clips: Sequence[Clip], gaps: Sequence[int]) -> list[tuple[int, int]]:
    """(clip, frame number) of each line "<clip name or index> <frame number>" of the text file `split`.

    Another form of line, a frame without all its sources, and a frame listed twice are errors that name the line.
    """
    path = resolve_data(split)
    if not path.is_file():
        raise MdtkError(
            f"split '{split}' of sequence is none of {', '.join(SPLITS)} and no text file; set DATA.TRAIN_SPLIT train "
            "and DATA.VAL_SPLIT val"
        )
    places = {clip.name: index for index, clip in enumerate(clips)}
    entries: dict[tuple[int, int], int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        name, _, frame = line.strip().rpartition(" ")
        index = places.get(name.strip(), int(name) if name.strip().isdecimal() else -1)
        if not 0 <= index < len(clips) or not frame.isdecimal():
            raise MdtkError(f"{path}:{number}: '{line}' is not '<clip name or index> <frame number>'")
        entry = (index, int(frame))
        if any(not 0 <= entry[1] + gap < len(clips[index].frames) for gap in (0, *gaps)):
            raise MdtkError(f"{path}:{number}: frame {frame} of {clips[index].name} or one of its sources is not there")
        if entry in entries:
            raise MdtkError(f"{path}:{number}: repeats line {entries[entry]}; list each frame once")
        entries[entry] = number
    return list(entries)
