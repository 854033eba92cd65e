"""The sample world in KITTI raw's layout: drives, calibration, LiDAR, improved ground truth and split lists."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mdtk.core.files import write_text
from mdtk.synthetic import lidar
from mdtk.synthetic.drive import DriveSpec, make_drive
from mdtk.synthetic.raster import SpinningRays
from mdtk.synthetic.rig import Rig, calib_cam_to_cam, calib_velo_to_cam
from mdtk.synthetic.world_files import Task, chunks, missing, write_bytes, write_lines, write_png

_SIDES = (("l", "image_02"), ("r", "image_03"))
_MARGIN = 5  # frames at both ends of a drive without improved ground truth, as in the real dataset


@dataclass(frozen=True)
class Size:
    """How much data a scale makes."""

    train: int  # drives for training
    val: int
    test: int
    train_frames: int  # frames of a training drive
    val_frames: int
    test_frames: int
    dates: tuple[tuple[str, int, int, float], ...]  # name, width, height, focal length in pixels
    lidar_steps: tuple[float, float]  # degrees between rays, in front and elsewhere
    benchmark: tuple[int, int, int, float]  # images, width, height, focal length


SIZES = {
    "small": Size(
        10, 2, 3, 32, 18, 24,
        (("2011_09_26", 384, 116, 222.7), ("2011_09_28", 380, 115, 220.6)),
        (1.2, 60.0),
        (4, 1216, 352, 700.0),
    ),
    "tiny": Size(
        2, 1, 2, 14, 14, 14,
        (("2011_09_26", 192, 58, 111.4), ("2011_09_28", 190, 57, 109.8)),
        (2.0, 16.0),
        (2, 304, 88, 175.0),
    ),
    "full": Size(
        24, 4, 6, 64, 32, 40,
        (("2011_09_26", 832, 251, 482.3), ("2011_09_28", 820, 248, 475.9)),
        (0.4, 2.0),
        (12, 1216, 352, 700.0),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class RawDrive:
    """One drive of the sample world."""

    role: str  # train, val or test
    date: str
    number: int
    spec: DriveSpec

    @property
    def name(self) -> str:
        """KITTI's name of the drive."""
        return f"{self.date}_drive_{self.number:04d}_sync"

    @property
    def folder(self) -> str:
        """The folder of the drive below the data root."""
        return f"{self.date}/{self.name}"


def plan(scale: str, seed: int) -> list[RawDrive]:
    """All drives. In training every third one stops and every fourth one follows a car."""
    size = SIZES[scale]
    rigs = [Rig(width, height, focal, k) for k, (_, width, height, focal) in enumerate(size.dates)]
    roles = ["train"] * size.train + ["val"] * size.val + ["test"] * size.test
    frames = {"train": size.train_frames, "val": size.val_frames, "test": size.test_frames}
    drives = []
    for place, role in enumerate(roles):
        date = place % 3 // 2
        training = role == "train"
        spec = DriveSpec(
            seed,
            place,
            frames[role],
            rigs[date],
            stops=training and place % 3 == 1,
            follows=training and place % 4 == 2,
            oncoming=(1, 0, 2)[place % 3],
        )
        drives.append(RawDrive(role, size.dates[date][0], 901 + place, spec))
    return drives


def tasks(root: Path, scale: str, seed: int) -> list[Task]:
    """The pieces of work that render the files which do not exist yet."""
    steps = SIZES[scale].lidar_steps
    drives = plan(scale, seed)
    work = [
        Task(functools.partial(_write_frames, root, drive, part, steps), len(part))
        for drive in drives
        for part in chunks(drive.spec.frames, 8)
    ]
    count, width, height, focal = SIZES[scale].benchmark
    rig = Rig(width, height, focal, 9)
    places = [drive.spec.place for drive in drives if drive.role == "test"]
    for number in range(count):
        spec = DriveSpec(seed, places[number % len(places)], SIZES[scale].test_frames, rig)
        work.append(Task(functools.partial(_write_benchmark, root, number, spec), 4))
    return work


def finish(root: Path, scale: str, seed: int) -> None:
    """Writes calibration and split lists."""
    drives = plan(scale, seed)
    for drive in drives:
        write_text(root / drive.date / "calib_cam_to_cam.txt", calib_cam_to_cam(drive.spec.rig))
        write_text(root / drive.date / "calib_velo_to_cam.txt", calib_velo_to_cam(drive.spec.rig))
    for name, lines in splits(drives, SIZES[scale].benchmark[0], seed).items():
        write_lines(root / "splits" / name, lines)


def splits(drives: list[RawDrive], benchmark_images: int, seed: int) -> dict[str, list[str]]:
    """The lines of each split list, by its path below `splits/`, with the names and rules of the published lists."""
    rng = np.random.default_rng([seed, 5])
    still = {drive.name: set(make_drive(drive.spec).static_frames()) for drive in drives}
    files = {
        "static_frames.txt": [f"{d.date} {d.name} {f:010d}" for d in drives for f in sorted(still[d.name])],
        "eigen/test_files.txt": [],
        "eigen_benchmark/test_files.txt": [],
        "benchmark/test_files.txt": [f"image {number}" for number in range(benchmark_images)],
    }
    for role in ("train", "val"):
        chosen = [drive for drive in drives if drive.role == role]
        moving = [(d, f) for d in chosen for f in range(d.spec.frames) if f not in still[d.name]]
        sets = {
            "eigen_zhou": [(d, f) for d, f in moving if 1 <= f <= d.spec.frames - 2],
            "eigen_full": [(d, f) for d in chosen for f in range(d.spec.frames)],
            "benchmark": [(d, f) for d, f in moving if _MARGIN <= f <= d.spec.frames - 1 - _MARGIN],
        }
        for name, entries in sets.items():
            lines = [f"{d.folder} {f} {side}" for d, f in entries for side in "lr"]
            files[f"{name}/{role}_files.txt"] = [lines[k] for k in rng.permutation(len(lines))]
    for drive in drives:
        if drive.role == "test":
            tested = [f for f in range(drive.spec.frames) if f % 3 != 2]
            files["eigen/test_files.txt"] += [f"{drive.folder} {f:010d} l" for f in tested]
            improved = [f for f in tested if _has_improved(f, drive.spec.frames)]
            files["eigen_benchmark/test_files.txt"] += [f"{drive.folder} {f} l" for f in improved]
    return files


def _has_improved(frame: int, frames: int) -> bool:
    return _MARGIN <= frame <= frames - 1 - _MARGIN


def _write_frames(root: Path, drive: RawDrive, frames: range, lidar_steps: tuple[float, float]) -> None:
    rays = lidar.make_rays(*lidar_steps)
    for frame in frames:
        _write_sweep(root / drive.folder, drive, frame, rays)
        for side, camera in _SIDES:
            _write_view(root / drive.folder, drive, frame, side, camera)


def _write_sweep(folder: Path, drive: RawDrive, frame: int, rays: SpinningRays) -> None:
    path = folder / "velodyne_points" / "data" / f"{frame:010d}.bin"
    if missing(path):
        write_bytes(path, lidar.sweep(make_drive(drive.spec), frame, rays).tobytes())


def _write_view(folder: Path, drive: RawDrive, frame: int, side: str, camera: str) -> None:
    image = folder / camera / "data" / f"{frame:010d}.png"
    if missing(image):
        write_png(image, make_drive(drive.spec).image(frame, side))
    truth = folder / "proj_depth" / "groundtruth" / camera / f"{frame:010d}.png"
    if _has_improved(frame, drive.spec.frames) and missing(truth):
        spec = drive.spec
        depth = make_drive(spec).depth(frame, side)
        seed = [spec.seed, spec.place, 6, frame, "lr".index(side)]
        write_png(truth, lidar.semi_dense(depth, spec.rig.focal, spec.rig.center[1], seed))


def _write_benchmark(root: Path, number: int, spec: DriveSpec) -> None:
    """Writes a test image of the depth benchmark, in the size that its server expects, and its intrinsics."""
    path = root / "image" / f"{number:010d}.png"
    if missing(path):
        write_png(path, make_drive(spec).image((3 + 4 * number) % spec.frames, "l"))
    write_text(root / "intrinsics" / f"{number:010d}.txt", " ".join(f"{v:.6e}" for v in spec.rig.K.ravel()) + "\n")
