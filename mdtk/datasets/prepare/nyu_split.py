"""Makes a training list for NYU Depth v2 from its raw folders: neighbours a fixed time apart, without static frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file
from mdtk.datasets.hdf5_files import open_hdf5, stored_dataset
from mdtk.datasets.readers.nyuv2 import LABELED, OFFSETS, SIZE
from mdtk.datasets.sequence.frames import grey_stack, motion
from mdtk.datasets.splits import load_split

RULE = """The rule: the frames of a scene (nyu_depth_v2/<scene>/r-<seconds>-<ticks>.ppm) are ordered by their time
stamp. A target is taken every EVERY raw frames (EVERY / RATE seconds). Its neighbours -4 ... 4 are the frames nearest
to k * STEP / RATE seconds away, each within a quarter of a step of that time; a target that lacks one (the ends of a
scene, gaps of the recording) is left out. A target is static, and left out, where its mean absolute grey change to
neighbour -1 or to neighbour 1 (64x48 copies, 0 ... 255) is below MIN_MOTION. Truncated files are ignored. Scenes
of the official test images are left out where nyu_depth_v2_labeled.mat names them."""
_STAMP = re.compile(r"r-(\d+(?:\.\d+)?)-\d+\.(?:ppm|png|jpg)")
_LONGEST_NAME = 200  # characters of a scene's name
_HEADER = 9  # minimum size in bytes of a PPM's header


@dataclass(frozen=True)
class Options:
    """The numbers of the rule (see `RULE`)."""

    step: int = 10  # raw frames between neighbours
    every: int = 10  # raw frames between targets
    rate: float = 30.0  # raw frames per second
    min_motion: float = 3.0  # mean absolute grey difference, 0 … 255
    val_every: int = 20  # one of this many scenes goes to the validation list; 0: none


@dataclass
class Summary:
    """What the rule found and left out."""

    scenes: int = 0
    frames: int = 0
    truncated: list[str] = field(default_factory=list)  # files
    incomplete: int = 0  # targets that lack a neighbour
    static: int = 0  # targets below min_motion
    test_scenes: list[str] = field(default_factory=list)  # scenes of the official test images
    test_scenes_known: bool = True

    def describe(self) -> list[str]:
        """The summary as lines of text."""
        known = f"{len(self.test_scenes)} scenes of the official test images left out"
        unknown = f"scenes of the official test images are not left out: {LABELED} is not there or names none"
        truncated = [f"{len(self.truncated)} truncated files, the first {self.truncated[0]}"] if self.truncated else []
        return [
            f"{self.scenes} scenes with {self.frames} raw frames",
            known if self.test_scenes_known else unknown,
            f"targets left out: {self.incomplete} lack a neighbour, {self.static} are static",
            *truncated,
        ]


def make_split(
    root: Path, options: Options, progress: Callable[[list[Path]], Iterable[Path]] = iter
) -> tuple[dict[str, list[str]], Summary]:
    """The lines of the lists "train" and "val", and a summary. `progress` wraps the scenes, as tqdm does.

    Raises `MdtkError` if the raw scenes are not below `root`.
    """
    home = root / "nyu_depth_v2"
    if not home.is_dir():
        raise MdtkError(f"raw scenes not found: {home}; extract the raw dataset there (datasets/README.md)")
    summary = Summary()
    tests = test_scenes(root / LABELED)
    summary.test_scenes_known = tests is not None
    scenes = sorted(path for path in home.iterdir() if path.is_dir())
    kept = [path for path in scenes if place(path.name) not in (tests or ())]
    summary.test_scenes = [path.name for path in scenes if path not in kept]
    lines: dict[str, list[str]] = {"train": [], "val": []}
    for number, scene in enumerate(progress(kept), 1):
        role = "val" if options.val_every and number % options.val_every == 0 else "train"
        lines[role] += _scene_lines(scene, root, options, summary)
    return lines, summary


def test_scenes(labeled: Path) -> frozenset[str] | None:
    """The places (see `place`) of the official test images, from the labelled file; None if it does not name them."""
    places = test_places(labeled)
    return None if places is None else frozenset(places.values())


def test_places(labeled: Path) -> dict[int, str] | None:
    """The official number of each test image → its place; see `test_scenes`."""
    if not is_file(labeled):
        return None
    numbers = [int(Path(line).stem) for line in load_split("nyuv2/test").lines]
    with open_hdf5(labeled, "fetch the official file again") as file:
        if "scenes" not in file:
            return None
        names = stored_dataset(file, "scenes", labeled, "O")[()].reshape(-1)
        letters = [file[names[number - 1]][:_LONGEST_NAME] for number in numbers]
        return {n: place("".join(map(chr, np.ravel(one)))) for n, one in zip(numbers, letters, strict=True)}


def place(scene: str) -> str:
    """The place that a scene shows: its name without the letter that numbers the parts of a long recording."""
    return re.sub(r"(?<=\d)[a-z]$", "", scene)


def _scene_lines(scene: Path, root: Path, options: Options, summary: Summary) -> list[str]:
    times, paths = _frames(scene, summary)
    summary.scenes += 1
    summary.frames += len(paths)
    if len(paths) < len(OFFSETS):
        return []
    rows = neighbours(times, options)
    complete = rows[(rows >= 0).all(1)]
    summary.incomplete += len(rows) - len(complete)
    moving = complete[_motion(paths, complete) >= options.min_motion] if len(complete) else complete
    summary.static += len(complete) - len(moving)
    return [" ".join(paths[index].relative_to(root).as_posix() for index in row) for row in moving]


def _frames(scene: Path, summary: Summary) -> tuple[np.ndarray, list[Path]]:
    """The time stamps of the frames in seconds, ascending, and their paths."""
    found = []
    for path in scene.iterdir():
        if not (match := _STAMP.fullmatch(path.name)):
            continue  # depth (d-…), accelerometer (a-…)
        if path.suffix == ".ppm" and path.stat().st_size < _HEADER + 3 * SIZE[0] * SIZE[1]:
            summary.truncated.append(str(path))
        else:
            found.append((float(match[1]), path))
    found.sort()
    return np.array([time for time, _ in found]), [path for _, path in found]


def neighbours(times: np.ndarray, options: Options) -> np.ndarray:
    """The positions in `times` of each target's nine frames, (targets, 9) in the order of OFFSETS; -1 if missing."""
    step = options.step / options.rate
    wanted = np.arange(times[0], times[-1] + 1e-9, options.every / options.rate)
    targets = np.unique(nearest(times, wanted))
    moments = times[targets][:, None] + step * np.array(OFFSETS)
    found = nearest(times, moments)
    return np.where(np.abs(times[found] - moments) <= step / 4, found, -1)


def nearest(times: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """The positions in the ascending `times` of those nearest to each of `moments`."""
    right: np.ndarray = np.searchsorted(times, moments).clip(1, len(times) - 1)
    return right - (moments - times[right - 1] <= times[right] - moments)


def _motion(paths: list[Path], rows: np.ndarray) -> np.ndarray:
    """How much the target of each row differs from its neighbours -1 and 1 (see `frames.motion`)."""
    columns = [OFFSETS.index(offset) for offset in (0, -1, 1)]
    used, places = np.unique(rows[:, columns], return_inverse=True)
    target, before, after = places.reshape(-1, 3).T
    return motion(grey_stack([paths[index] for index in used]), target, [before, after])
