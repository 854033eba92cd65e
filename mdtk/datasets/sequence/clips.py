"""Clips (sequences of frames), their camera, and the choice of frames that are entries of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file, resolve_data
from mdtk.core.guard import read_text
from mdtk.datasets.pose_files import frame_poses
from mdtk.datasets.sequence.frames import grey_stack, motion
from mdtk.geometry.camera import intrinsics, resize_K

MAX_STRETCH = 0.02  # allowed difference in aspect between K's image and the frames: video codecs add a few rows
SPLITS = ("train", "val", "all")


@dataclass(frozen=True)
class Clip:
    """A sequence: its unique name, its frames in order, and the folder of its depth PNGs and file of poses, if any."""

    name: str
    frames: tuple[Path, ...]
    depth: Path | None = None
    poses: Path | None = None

    def pose(self, frame: int) -> np.ndarray:
        """world_T_camera (4, 4) of a frame in metres. Raises `MdtkError` where there is none."""
        if self.poses is None:
            raise MdtkError(f"{self.name} has no poses; name a file in DATA.SEQUENCE.POSES, or put poses.txt beside it")
        found = frame_poses(self.poses, [path.stem for path in self.frames])
        if not 0 <= frame < len(found) or np.isnan(found[frame]).any():
            raise MdtkError(
                f"{self.poses}: no pose of frame {frame} of {self.name}; leave it out of the list, or give its pose"
            )
        return np.asarray(found[frame])


@dataclass(frozen=True)
class Camera:
    """Intrinsics `k` = (fx, fy, cx, cy) in pixels (centres at integers) of an image of `size` = (width, height)."""

    k: tuple[float, float, float, float]
    size: tuple[float, float]

    def matrix(self, size: tuple[int, int]) -> np.ndarray:
        """K (3, 3) float64 of the same view at `size` = (width, height). Raises `MdtkError` for another aspect."""
        if abs(self.size[1] * size[0] / (self.size[0] * size[1]) - 1) > MAX_STRETCH:
            raise MdtkError(
                f"DATA.SEQUENCE.K_SIZE {self.size[0]:g}x{self.size[1]:g} has not the aspect of the frames, {size[0]}x"
                f"{size[1]}; give the width and height of the image that K belongs to, cropped as the frames are"
            )
        return resize_K(intrinsics(*self.k), self.size, size)


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Unique names of the paths: their shortest distinct ends, such as a/color and b/color, without video suffixes."""
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
    """Every `stride`-th frame whose sources, `gaps` frames away, all exist. Raises `MdtkError` if there is none."""
    first, last = -min([0, *gaps]), len(clip.frames) - 1 - max([0, *gaps])
    targets = [frame for frame in range(0, len(clip.frames), stride) if first <= frame <= last]
    if not targets:
        raise MdtkError(
            f"{clip.name} has {len(clip.frames)} frames, too few for sources {min(gaps)} … {max(gaps)} frames away; "
            "add frames, or lower DATA.SOURCES or DATA.SEQUENCE.STRIDE"
        )
    return targets


def moving(clip: Clip, frames: list[int], gaps: Sequence[int], minimum: float) -> list[int]:
    """Those of `frames` whose grey difference (see `motion`) to every source is at least `minimum`; 0 keeps all."""
    if minimum <= 0 or not gaps:
        return frames
    targets = np.asarray(frames, dtype=np.int64)
    change = motion(grey_stack(clip.frames), targets, [targets + gap for gap in gaps])
    return [frame for frame, value in zip(frames, change, strict=True) if value >= minimum]


def part(frames: list[int], gaps: Sequence[int], fraction: float, split: str) -> list[int]:
    """Targets of a split: for val the last `fraction` of `frames`, for train the others that have no source in it."""
    count = max(1, round(fraction * len(frames))) if fraction > 0 and frames else 0
    if split == "val":
        return frames[len(frames) - count :]
    limit = frames[-count] if count else float("inf")
    return [frame for frame in frames if frame + max([0, *gaps]) < limit]


def read_list(split: str, clips: Sequence[Clip], gaps: Sequence[int]) -> list[tuple[int, int]]:
    """(clip index, frame number) of each line "<clip name or index> <frame number>" in the text file `split`.

    Raises `MdtkError` that names the line for another form, a frame without all its sources, or one listed twice.
    """
    path = resolve_data(split)
    if not is_file(path):
        raise MdtkError(
            f"split '{split}' of sequence is neither one of {', '.join(SPLITS)} nor a text file; "
            "set DATA.TRAIN_SPLIT train and DATA.VAL_SPLIT val"
        )
    places = {clip.name: index for index, clip in enumerate(clips)}
    entries: dict[tuple[int, int], int] = {}
    for number, line in enumerate(read_text(path, "split list", "give a text file").splitlines(), start=1):
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
