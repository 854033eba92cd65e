"""The sample world in NYU Depth v2's layout: raw frames with lens distortion, and both forms of the test set.

Real recordings have 30 frames a second. Here every tenth frame is stored (every fifth in some scenes), so that the
neighbours "10 raw frames apart" of the published lists exist by their time stamps.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from mdtk.core.files import atomic_write
from mdtk.synthetic.render import Frame, render_frame
from mdtk.synthetic.rooms import make_room
from mdtk.synthetic.world_camera import Camera
from mdtk.synthetic.world_files import Task, chunks, missing, write_bytes, write_lines

RATE = 30.0  # raw frames per second
STEP = 10  # raw frames between the neighbours in a list
PINHOLE = Camera(518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465, 640, 480)
_DISTORTION = (
    0.20796615318809061,
    -0.58613825163911781,
    7.2231363135888329e-4,
    1.0479627195765181e-3,
    0.49856986684705107,
)
RAW = Camera(PINHOLE.fx, PINHOLE.fy, PINHOLE.cx, PINHOLE.cy, 640, 480, _DISTORTION)
_OFFSETS = (0, -4, -3, -2, -1, 1, 2, 3, 4)
_PACKED = {"compression": "gzip", "shuffle": True}  # bytes of equal weight together: depths pack better
_TICKS = 60_000_000  # ticks per second of the Kinect's clock


@dataclass(frozen=True)
class RawScene:
    """One recording."""

    name: str
    place: int  # number of the room
    count: int  # number of stored frames
    stride: int  # raw frames between stored frames
    still: int = 0  # number of stored frames at the end during which the camera rests
    role: str = "train"  # or val

    def seconds(self, number: int) -> float:
        """The time in seconds that gives the pose of stored frame `number`; it stops when the camera rests."""
        return min(number, self.count - 1 - self.still) * self.stride / RATE

    def file(self, number: int) -> str:
        """The path of a stored frame below the root; its time stamp jitters by a millisecond, as real ones do."""
        rng = np.random.default_rng([self.place, number])
        elapsed = number * self.stride / RATE + rng.uniform(-1e-3, 1e-3)
        start = 1294439200 + 1000 * self.place
        ticks = (1384437428 + int(elapsed * _TICKS)) % 2**32
        return f"nyu_depth_v2/{self.name}/r-{start + 0.25 + elapsed:.6f}-{ticks}.ppm"


@dataclass(frozen=True)
class Size:
    """How much data a scale makes."""

    scenes: tuple[RawScene, ...]
    test_ids: tuple[int, ...]  # official numbers, from 1
    labeled: int  # number of images in the labelled file


_SMALL = (
    RawScene("living_room_0901", 0, 11, 10, still=1),
    RawScene("study_0902", 1, 18, 5),
    RawScene("bedroom_0903", 2, 9, 10, role="val"),
)
_KINDS = ("kitchen", "office", "classroom", "dining_room", "playroom", "library")
SIZES = {
    "tiny": Size((RawScene("living_room_0901", 0, 11, 10, still=1),), (1, 3), 3),
    "small": Size(_SMALL, (1, 2, 4, 5, 7), 7),
    "full": Size(
        (*_SMALL, *(RawScene(f"{kind}_{904 + k:04d}", 3 + k, 60, 10) for k, kind in enumerate(_KINDS))),
        tuple(n for n in range(1, 41) if n % 3),
        41,
    ),
}


def tasks(root: Path, scale: str, seed: int) -> list[Task]:
    """The pieces of work that render the files which do not exist yet; labelled images go to per-image files first."""
    size = SIZES[scale]
    work = [
        Task(functools.partial(_write_raw, root, scene, seed, part), 5 * len(part))
        for scene in size.scenes
        for part in chunks(scene.count, 6)
    ]
    return [*work, *(Task(functools.partial(_write_labeled, root, n, seed), 5) for n in range(1, size.labeled + 1))]


def finish(root: Path, scale: str, seed: int) -> None:
    """Writes the labelled file and the split lists."""
    size = SIZES[scale]
    _write_mat(root, size)
    for number in range(1, size.labeled + 1):
        if number not in size.test_ids:  # official training images have no per-image file
            _labeled_path(root, number).unlink(missing_ok=True)
    write_lines(root / "splits/nyuv2/test_files.txt", (f"nyu_test/{number:05d}.h5" for number in size.test_ids))
    for role in ("train", "val"):
        lines = [line for scene in size.scenes if scene.role == role for line in train_lines(scene)]
        if lines:
            write_lines(root / f"splits/nyuv2/{role}_files.txt", lines)


def train_lines(scene: RawScene) -> list[str]:
    """The training lines of a scene: the paths of frames 0, −4 … −1, 1 … 4, ten raw frames apart, in all of which the
    camera moves."""
    apart = STEP // scene.stride
    last = scene.count - 1 - scene.still
    targets = range(4 * apart, last - 4 * apart + 1)
    return [" ".join(scene.file(target + offset * apart) for offset in _OFFSETS) for target in targets]


def raw_frame(scene: RawScene, seed: int, number: int, camera: Camera = RAW) -> Frame:
    """Renders a stored raw frame of the colour camera, or of another camera in its place."""
    room = make_room(seed, scene.place)
    return render_frame(room.scene, camera, room.camera_to_world(scene.seconds(number)))


def labeled_frame(seed: int, number: int) -> Frame:
    """Renders a labelled image with its depth, without lens distortion; every two of them share a room."""
    room = make_room(seed, 100 + (number - 1) // 2)
    return render_frame(room.scene, PINHOLE, room.camera_to_world(11.0 * number))


def _write_raw(root: Path, scene: RawScene, seed: int, numbers: range) -> None:
    for number in numbers:
        path = root / scene.file(number)
        if missing(path):
            stream = io.BytesIO()
            Image.fromarray(raw_frame(scene, seed, number).image).save(stream, "PPM")
            write_bytes(path, stream.getvalue())


def _labeled_path(root: Path, number: int) -> Path:
    return root / "nyu_test" / f"{number:05d}.h5"


def _write_labeled(root: Path, number: int, seed: int) -> None:
    path = _labeled_path(root, number)
    if missing(path):
        frame = labeled_frame(seed, number)
        with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
            file.create_dataset("rgb", data=frame.image.transpose(2, 0, 1), **_PACKED)
            file.create_dataset("depth", data=frame.depth.astype(np.float32), **_PACKED)


def _write_mat(root: Path, size: Size) -> None:
    """Writes the images (N, 3, 640, 480) and depths (N, 640, 480) of the official file, in MATLAB's order."""
    path = root / "nyu_depth_v2_labeled.mat"
    if not missing(path):
        return
    count = size.labeled
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        rgb = {"shape": (count, 3, 640, 480), "dtype": "u1", "chunks": (1, 3, 640, 480)}
        images = file.create_dataset("images", **rgb, **_PACKED)
        depth = {"shape": (count, 640, 480), "dtype": "f4", "chunks": (1, 640, 480)}
        depths = file.create_dataset("depths", **depth, **_PACKED)
        for number in range(1, count + 1):
            with h5py.File(_labeled_path(root, number), "r") as single:
                images[number - 1] = single["rgb"][:].transpose(0, 2, 1)
                depths[number - 1] = single["depth"][:].T
