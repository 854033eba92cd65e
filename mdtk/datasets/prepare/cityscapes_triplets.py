"""Makes training triplets of Cityscapes' raw sequences (the preparation of SfMLearner, in BDEdepth's form).

A triplet is a PNG with the frames t-2, t, t+2 one above the other, each resized (LANCZOS), its lower quarter cut off;
`…_cam.txt` beside it holds K. Processes each take a part of a sequence at a time, so that a frame is decoded once.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Generator
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, clear_torn, write_text
from mdtk.datasets.image_files import open_picture
from mdtk.datasets.prepare.worker_pool import run_jobs
from mdtk.datasets.readers.cityscapes import KEPT_ROWS, SIZE, open_full, read_camera

GAP = 2  # raw frames between the frames of a triplet
_NAME = re.compile(r"(.+_\d+)_(\d{6})_leftImg8bit\.png")
_PNG_END = b"IEND\xaeB`\x82"
_JOB_SIZE = 32  # number of targets in a job


@dataclass(frozen=True)
class Options:
    """The folders to read and write, and the size in pixels to which an image is resized before it is cut."""

    dataset_dir: Path
    dump_root: Path
    height: int = 512
    width: int = 1024

    @property
    def kept_rows(self) -> int:
        """The number of rows of a resized image that are kept: three quarters."""
        return int(self.height * KEPT_ROWS / SIZE[1])


@dataclass(frozen=True)
class Job:
    """A part of one sequence: targets whose neighbours all exist."""

    city: str
    sequence: str
    targets: tuple[int, ...]


@dataclass
class Report:
    """What was done: the numbers of triplets, and a reason for everything that was left out."""

    made: int = 0
    there: int = 0  # made before
    ends: int = 0  # frames without a neighbour two frames before or after
    skipped: list[str] = field(default_factory=list)  # "<name>: <why>"

    def add(self, other: Report) -> None:
        """Adds the numbers and reasons of another report."""
        self.made += other.made
        self.there += other.there
        self.ends += other.ends
        self.skipped += other.skipped

    def describe(self) -> list[str]:
        """The report as lines of text."""
        text = [
            f"{self.made} triplets made, {self.there} were there",
            f"left out: {self.ends} frames without a frame {GAP} before and {GAP} after (ends of sequences)",
        ]
        shown = [f"left out: {reason}" for reason in self.skipped[:10]]
        more = len(self.skipped) - len(shown)
        return text + shown + ([f"… and {more} more, see skipped.txt"] if more else [])


def plan(options: Options) -> tuple[list[Job], Report]:
    """All jobs, and a report in which only the ends of sequences are counted. Raises `MdtkError` if there is no job."""
    home = options.dataset_dir / "leftImg8bit_sequence" / "train"
    if not home.is_dir():
        raise MdtkError(f"sequences not found: {home}; extract leftImg8bit_sequence_trainvaltest.zip of Cityscapes")
    jobs, report = [], Report()
    for city in sorted(path for path in home.iterdir() if path.is_dir()):
        for sequence, frames in sorted(_sequences(city).items()):
            targets = sorted(t for t in frames if t - GAP in frames and t + GAP in frames)
            report.ends += len(frames) - len(targets)
            pieces = range(0, len(targets), _JOB_SIZE)
            jobs += [Job(city.name, sequence, tuple(targets[start : start + _JOB_SIZE])) for start in pieces]
    if not jobs:
        raise MdtkError(f"{home}: no frame with neighbours {GAP} before and after; extract the sequences again")
    return jobs, report


def _sequences(city: Path) -> dict[str, set[int]]:
    sequences: dict[str, set[int]] = {}
    for path in city.iterdir():
        if match := _NAME.fullmatch(path.name):
            sequences.setdefault(match[1], set()).add(int(match[2]))
    return sequences


def run_job(job: Job, options: Options, stop: Event | None = None) -> Report:
    """Makes the triplets of a job that do not exist yet; setting `stop` ends it after the current triplet."""
    report = Report()
    frames: dict[int, np.ndarray] = {}  # decoded ones that later targets may need
    try:
        K = _camera(job, options)
    except MdtkError as error:
        report.skipped.append(f"{job.sequence}, {len(job.targets)} frames from {job.targets[0]}: {error}")
        return report
    for target in job.targets:
        if stop is not None and stop.is_set():
            break
        path = triplet_path(options.dump_root, job.city, job.sequence, target)
        if is_complete(path, options):
            report.there += 1
            continue
        wanted = (target - GAP, target, target + GAP)
        frames = {number: image for number, image in frames.items() if number >= wanted[0]}
        try:
            for number in wanted:
                if number not in frames:
                    frames[number] = _frame(job, number, options)
        except MdtkError as error:
            report.skipped.append(f"{path.stem}: {error}")
            continue
        _write(path, np.concatenate([frames[number] for number in wanted]), K)
        report.made += 1
    return report


def triplet_path(dump_root: Path, city: str, sequence: str, frame: int) -> Path:
    """The PNG of the triplet whose middle frame is `frame`."""
    return dump_root / city / f"{sequence}_{frame:06d}.png"


def _camera_text_path(triplet: Path) -> Path:
    return triplet.with_name(f"{triplet.stem}_cam.txt")


def _camera(job: Job, options: Options) -> np.ndarray:
    """K of the resized image, from the first camera file of the sequence; cutting off rows below does not change it."""
    homes = [options.dataset_dir / folder for folder in ("camera", "camera_trainvaltest/camera")]
    found = sorted(path for home in homes for path in (home / "train" / job.city).glob(f"{job.sequence}_*_camera.json"))
    if not found:
        raise MdtkError(f"no camera file {homes[0] / 'train' / job.city / job.sequence}_*_camera.json")
    K, _ = read_camera(found[0])
    return K * np.array([[options.width / SIZE[0]], [options.height / SIZE[1]], [1]])


def _frame(job: Job, number: int, options: Options) -> np.ndarray:
    """A resized and cut frame (rows, columns, 3) uint8."""
    home = options.dataset_dir / "leftImg8bit_sequence" / "train" / job.city
    path = home / f"{job.sequence}_{number:06d}_leftImg8bit.png"
    resized = open_full(path).resize((options.width, options.height), Image.Resampling.LANCZOS)
    return np.asarray(resized)[: options.kept_rows]


def _write(path: Path, triplet: np.ndarray, K: np.ndarray) -> None:
    fx, cx, fy, cy = K[0, 0], K[0, 2], K[1, 1], K[1, 2]
    write_text(_camera_text_path(path), f"{fx:f},0.,{cx:f},0.,{fy:f},{cy:f},0.,0.,1.")
    with atomic_write(path) as temporary:
        Image.fromarray(triplet).save(temporary)


def is_complete(path: Path, options: Options) -> bool:
    """Whether a triplet and its K exist and are complete. Raises `MdtkError` for a triplet of another size."""
    if not path.is_file() or not _camera_text_path(path).is_file():
        return False
    with path.open("rb") as file:
        file.seek(-min(len(_PNG_END), path.stat().st_size), 2)
        if file.read() != _PNG_END:
            return False  # cut off, by another tool
    with open_picture(path, "triplet", "delete it and run the tool again") as image:
        expected = (options.width, 3 * options.kept_rows)
        if image.size != expected:
            raise MdtkError(
                f"{path}: is {image.width}x{image.height} pixels, these options make {expected[0]}x{expected[1]}; "
                "give another --dump_root, or the options that it was made with"
            )
    return True


def finish(options: Options, report: Report) -> None:
    """Writes all reasons to skipped.txt, and copies the lists of triplets that the dataset's own tree may have."""
    listing = options.dump_root / "skipped.txt"
    if report.skipped:
        write_text(listing, "".join(f"{reason}\n" for reason in report.skipped))
    else:
        listing.unlink(missing_ok=True)
    for name in ("train", "val"):
        own = options.dataset_dir / "splits" / "cityscapes" / f"{name}_files.txt"
        if own.is_file():
            with atomic_write(options.dump_root / "splits" / "cityscapes" / own.name) as temporary:
                shutil.copyfile(own, temporary)


def prepare(options: Options, workers: int) -> Generator[tuple[int, int, Report], None, None]:
    """Does all jobs; yields (jobs done, all jobs, report so far) after each. Ctrl-C leaves no incomplete file."""
    jobs, report = plan(options)
    clear_torn(options.dump_root, "*/.*.tmp.*")
    yield 0, len(jobs), report
    with contextlib.closing(run_jobs(run_job, jobs, options, workers)) as parts:
        for done, part in enumerate(parts, 1):
            report.add(part)
            yield done, len(jobs), report
    finish(options, report)
