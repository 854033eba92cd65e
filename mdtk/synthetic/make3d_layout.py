"""The sample world in Make3D's layout: single portrait images, each with the grid of a laser scan."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from mdtk.synthetic.drive import DriveSpec, make_drive
from mdtk.synthetic.render import render_depth, render_image
from mdtk.synthetic.rig import Rig
from mdtk.synthetic.scene import Scene
from mdtk.synthetic.world_camera import Camera
from mdtk.synthetic.world_files import Task, missing, write_bytes, write_lines

# Focal lengths: the inverse of the image plane's size at distance 1 in the authors' release
CAMERA = Camera(1704 / 0.70783777, 2272 / 0.946584169, 851.5, 1135.5, 1704, 2272)
ROWS, COLUMNS = 55, 305  # size of the laser grid
_MAX_DEPTH = 81.0  # metres; the sensor reports this value for the sky
_FRAMES = 6


@dataclass(frozen=True)
class Size:
    """How much data a scale makes."""

    images: int  # test images


SIZES = {"tiny": Size(1), "small": Size(4), "full": Size(16)}


def image_id(number: int) -> str:
    """The id of an image, in the style of the real ones."""
    return f"090101-12.{number:02d}.00-p-{7 * number + 1:03d}t000"


def tasks(root: Path, scale: str, seed: int) -> list[Task]:
    """The pieces of work that render the files which do not exist yet."""
    return [Task(functools.partial(_write, root, number, seed), 12) for number in range(SIZES[scale].images)]


def finish(root: Path, scale: str, seed: int) -> None:
    """Writes the split list."""
    write_lines(root / "splits/make3d/test_files.txt", (image_id(number) for number in range(SIZES[scale].images)))


def view(seed: int, number: int) -> tuple[Scene, np.ndarray]:
    """The scene of an image and the pose (4, 4) of its camera."""
    drive = make_drive(DriveSpec(seed, 3000 + number, _FRAMES, Rig(64, 64, 64.0), oncoming=0))
    return drive.scene, drive.camera_to_world(_FRAMES - 1, "l")


def grid_depth(seed: int, number: int) -> np.ndarray:
    """The laser grid of an image, (55, 305, 4) float64: y up, x, z, and the depth that evaluations read, in metres.

    That depth is z, at most 81 m.
    """
    scene, pose = view(seed, number)
    sx, sy = COLUMNS / CAMERA.width, ROWS / CAMERA.height
    center = (CAMERA.cx + 0.5) * sx - 0.5, (CAMERA.cy + 0.5) * sy - 0.5
    grid = Camera(CAMERA.fx * sx, CAMERA.fy * sy, *center, COLUMNS, ROWS)
    z = np.minimum(render_depth(scene.at(0), grid, pose)[0].astype(float), _MAX_DEPTH)
    rays = grid.rays()
    return np.stack([-rays.y * z, rays.x * z, z, z], axis=-1)


def _write(root: Path, number: int, seed: int) -> None:
    image = root / "Test134" / f"img-{image_id(number)}.jpg"
    laser = root / "Gridlaserdata" / f"depth_sph_corr-{image_id(number)}.mat"
    if missing(image):
        scene, pose = view(seed, number)
        stream = io.BytesIO()
        Image.fromarray(render_image(scene, scene.at(0), CAMERA, pose, supersample=1)).save(stream, "JPEG", quality=90)
        write_bytes(image, stream.getvalue())
    if missing(laser):
        stream = io.BytesIO()
        scipy.io.savemat(stream, {"Position3DGrid": grid_depth(seed, number)}, do_compression=True)
        write_bytes(laser, _undated(stream.getvalue()))


def _undated(mat: bytes) -> bytes:
    """A .mat file without its date (the first 116 bytes are free text), so that the same world has the same bytes."""
    return b"MATLAB 5.0 MAT-file, mdtk sample world".ljust(116) + mat[116:]
