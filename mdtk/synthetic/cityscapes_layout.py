"""The sample world in Cityscapes' layout: video snippets, a camera for each city, disparity of annotated frames."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mdtk.core.files import write_text
from mdtk.synthetic.drive import Drive, DriveSpec, make_drive
from mdtk.synthetic.render import render_depth, render_image
from mdtk.synthetic.rig import CAMERA_HEIGHT, Rig
from mdtk.synthetic.world_camera import Camera
from mdtk.synthetic.world_files import Task, chunks, missing, write_lines, write_png

WIDTH, HEIGHT = 2048, 1024
ANNOTATED = 19  # the frame of a snippet that has a disparity and a camera file
HELD_OUT = 4  # number of training triplets that become the validation list
_GAP = 2  # frames between the members of a training triplet
_MAX_DEPTH = 200.0  # metres, beyond which the disparity is unknown
_PACE = 0.55  # slower per frame than KITTI: seventeen frames per second instead of ten


@dataclass(frozen=True)
class City:
    """A city: its split, its camera, and its snippets."""

    name: str
    split: str  # train or test
    focal: tuple[float, float]  # fx, fy in pixels
    center: tuple[float, float]  # u0, v0
    baseline: float  # metres
    snippets: int
    place: int  # number of the street of its first snippet

    @property
    def camera(self) -> Camera:
        """The camera of all images of the city."""
        return Camera(*self.focal, *self.center, WIDTH, HEIGHT)

    def frame_name(self, snippet: int, frame: int) -> str:
        """Cityscapes' name of a frame, without suffix."""
        return f"{self.name}_{snippet:06d}_{frame:06d}"


@dataclass(frozen=True)
class Size:
    """How much data a scale makes."""

    cities: tuple[City, ...]
    span: range  # frames of a training snippet


def _cities(train: tuple[int, ...], test: tuple[int, ...]) -> tuple[City, ...]:
    """Cities with the given numbers of snippets. No published list names one of them."""
    known = (
        ("lindau", "train", (2262.52, 2265.30), (1096.98, 513.14), 0.209313),
        ("wismar", "train", (2230.10, 2228.40), (1008.35, 527.90), 0.222126),
        ("goslar", "train", (2281.70, 2284.25), (1051.20, 498.60), 0.214900),
        ("torgau", "test", (2268.36, 2225.54), (1048.64, 519.28), 0.209313),
        ("meissen", "test", (2244.90, 2247.05), (1030.10, 505.75), 0.222126),
    )
    counts = dict(zip(("lindau", "wismar", "goslar", "torgau", "meissen"), train + test, strict=True))
    return tuple(City(*row, counts[row[0]], 4000 + 100 * k) for k, row in enumerate(known) if counts[row[0]])


SIZES = {
    "tiny": Size(_cities((1, 0, 0), (1, 0)), range(17, 22)),
    "small": Size(_cities((1, 1, 0), (2, 2)), range(15, 22)),
    "full": Size(_cities((4, 3, 3), (6, 6)), range(30)),
}


def tasks(root: Path, scale: str, seed: int) -> list[Task]:
    """The pieces of work that render the files which do not exist yet."""
    work = []
    for city in SIZES[scale].cities:
        span = SIZES[scale].span if city.split == "train" else range(ANNOTATED, ANNOTATED + 1)
        for snippet in range(city.snippets):
            for part in chunks(len(span), 5):
                call = functools.partial(_write_frames, root, city, snippet, seed, [span[k] for k in part])
                work.append(Task(call, 8 * len(part)))
    return work


def finish(root: Path, scale: str, seed: int) -> None:
    """Writes the camera files and the split lists."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for city in SIZES[scale].cities:
        span = SIZES[scale].span
        triplets = range(span.start + _GAP, span.stop - _GAP)
        for snippet in range(city.snippets):
            name = f"{city.frame_name(snippet, ANNOTATED)}_camera.json"
            write_text(root / "camera" / city.split / city.name / name, camera_json(city))
            frames = triplets if city.split == "train" else [ANNOTATED]
            lists[city.split] += [f"{city.name} {city.frame_name(snippet, frame)}" for frame in frames]
    if len(lists["train"]) > HELD_OUT:  # as in the published lists, validation uses frames of the training cities
        lists["val"] = lists["train"][-HELD_OUT:]
        del lists["train"][-HELD_OUT:]
    for split, lines in lists.items():
        write_lines(root / f"splits/cityscapes/{split}_files.txt", lines)


def camera_json(city: City) -> str:
    """The text of a camera file in Cityscapes' form."""
    camera = city.camera
    extrinsic = {
        "baseline": city.baseline,
        "pitch": 0.0,
        "roll": 0.0,
        "x": 0.0,
        "y": 0.0,
        "yaw": 0.0,
        "z": CAMERA_HEIGHT,
    }
    intrinsic = {"fx": camera.fx, "fy": camera.fy, "u0": camera.cx, "v0": camera.cy}
    return json.dumps({"extrinsic": extrinsic, "intrinsic": intrinsic}, indent=4) + "\n"


def snippet_drive(city: City, snippet: int, seed: int) -> Drive:
    """The drive of a snippet of thirty frames."""
    return make_drive(DriveSpec(seed, city.place + snippet, 30, Rig(64, 64, 64.0), oncoming=1, pace=_PACE))


def image(city: City, drive: Drive, frame: int) -> np.ndarray:
    """The image (1024, 2048, 3) uint8 RGB of a frame, rendered at half size: each pixel four times.

    K stays exact so, and the files are half as large as enlarged smoothly.
    """
    half = city.camera.scaled(0.5)
    small = render_image(drive.scene, drive.scene.at(frame), half, drive.camera_to_world(frame, "l"))
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)


def disparity(city: City, drive: Drive, frame: int) -> np.ndarray:
    """The disparity (1024, 2048) uint16 of a frame: 256 · baseline · fx / z + 1, and 0 where unknown."""
    depth, _ = render_depth(drive.scene.at(frame), city.camera, drive.camera_to_world(frame, "l"))
    stored = np.rint(256 * city.baseline * city.camera.fx / np.maximum(depth, 1e-3) + 1)
    return np.where((depth < _MAX_DEPTH) & (stored <= 65535), stored, 0).astype(np.uint16)


def _write_frames(root: Path, city: City, snippet: int, seed: int, frames: list[int]) -> None:
    for frame in frames:
        name, folder = city.frame_name(snippet, frame), Path(city.split) / city.name
        path = root / "leftImg8bit_sequence" / folder / f"{name}_leftImg8bit.png"
        if missing(path):
            write_png(path, image(city, snippet_drive(city, snippet, seed), frame))
        path = root / "disparity" / folder / f"{name}_disparity.png"
        if frame == ANNOTATED and missing(path):
            write_png(path, disparity(city, snippet_drive(city, snippet, seed), frame))
