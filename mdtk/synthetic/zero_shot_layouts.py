"""The sample world in the layouts of sets for evaluation only: a few frames each of a street or a room.

DDAD, DIODE, ETH3D, Sintel, ScanNet, TUM RGB-D, and SYNS-Patches, which has images alone. Sizes are smaller than the
published ones; forms of files, units and trees are theirs.
"""

from __future__ import annotations

import functools
import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from mdtk.synthetic.drive import DriveSpec, make_drive
from mdtk.synthetic.render import Frame, render_frame
from mdtk.synthetic.rig import Rig
from mdtk.synthetic.rooms import make_room
from mdtk.synthetic.world_camera import Camera
from mdtk.synthetic.world_files import Task, write_bytes, write_lines, write_png

FRAMES = 3  # of each recording
SECONDS = 0.1  # between frames in a room
SKY = 1e10  # metres, what Sintel's files hold where nothing is
TAG = 202021.25  # the float that Sintel's files begin with
SYNS_FOCAL = 621 / np.tan(np.radians(84.10) / 2)  # pixels, of 1242x376 with the published field of view
Files = Callable[[Path, int], None]  # (root, seed) → writes the files of a set


@dataclass(frozen=True)
class Layout:
    """One set: the function that writes it, as `world.LAYOUTS` takes a set."""

    write: Files

    def tasks(self, root: Path, scale: str, seed: int) -> list[Task]:
        """The one piece of work, the same at every scale."""
        return [Task(functools.partial(self.write, root, seed), FRAMES)]

    def finish(self, root: Path, scale: str, seed: int) -> None:
        """Nothing is left to write."""


def street(seed: int, place: int, size: tuple[int, int], focal: float, frames: int = FRAMES) -> list[Frame]:
    """The first frames of a drive, seen by the left camera at (width, height)."""
    drive = make_drive(DriveSpec(seed, place, frames + 1, Rig(*size, focal), oncoming=0))
    return [drive.render(number) for number in range(frames)]


def room(seed: int, place: int, size: tuple[int, int], focal: float, frames: int = FRAMES) -> list[Frame]:
    """Frames of a hand-held camera in a room, at (width, height)."""
    width, height = size
    camera, place_ = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height), make_room(seed, place)
    poses = [place_.camera_to_world(number * SECONDS) for number in range(frames)]
    return [render_frame(place_.scene, camera, pose) for pose in poses]


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _jpeg(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def _known(depth: np.ndarray, highest: float) -> np.ndarray:
    """The depth (H, W) up to `highest` metres, 0 elsewhere."""
    return np.where(depth < highest, depth, 0)


def _diode(root: Path, seed: int) -> None:
    indoors, outdoor = room(seed, 310, (256, 192), 222.0, 2), street(seed, 4000, (256, 192), 222.0, 2)
    for part, scan, frames in (
        ("indoors", "scene_00019/scan_00183", indoors),
        ("outdoor", "scene_00022/scan_00193", outdoor),
    ):
        for number, frame in enumerate(frames):
            stem = root / "val" / part / scan / f"{scan[6:11]}_{scan[-5:]}_{part}_{number:03d}_000"
            known = frame.depth < 300
            write_png(stem.with_suffix(".png"), frame.image)
            write_bytes(Path(f"{stem}_depth.npy"), _npy(_known(frame.depth, 300)[..., None].astype(np.float32)))
            write_bytes(Path(f"{stem}_depth_mask.npy"), _npy(known.astype(np.float32)))


def _eth3d(root: Path, seed: int) -> None:
    for number, frame in enumerate(street(seed, 4001, (384, 256), 300.0)):
        name = f"dslr_images/DSC_{number:04d}.JPG"
        write_bytes(root / "rgb/yard/images" / name, _jpeg(frame.image))
        write_bytes(root / "depth/yard/ground_truth_depth" / name, frame.depth.astype("<f4").tobytes())


def _sintel(root: Path, seed: int) -> None:
    for number, frame in enumerate(street(seed, 4002, (256, 109), 280.0), start=1):
        name = f"street_1/frame_{number:04d}"
        height, width = frame.depth.shape
        depth = np.where(np.isfinite(frame.depth), frame.depth, SKY).astype("<f4")
        cameras = np.concatenate([frame.K.ravel(), np.linalg.inv(frame.camera_to_world)[:3].ravel()])
        write_png(root / "training/final" / f"{name}.png", frame.image)
        write_bytes(root / "training/depth" / f"{name}.dpt", struct.pack("<fii", TAG, width, height) + depth.tobytes())
        write_bytes(
            root / "training/camdata_left" / f"{name}.cam", struct.pack("<f", TAG) + cameras.astype("<f8").tobytes()
        )


def _scannet(root: Path, seed: int) -> None:
    scene = root / "scene0000_00"
    for number, frame in enumerate(room(seed, 311, (320, 240), 290.0)):
        name = f"{number * 100:06d}"
        write_bytes(scene / "color" / f"{name}.jpg", _jpeg(frame.image))
        write_png(scene / "depth" / f"{name}.png", np.rint(_known(frame.depth, 60) * 1000).astype(np.uint16))
        _write_matrix(scene / "pose" / f"{name}.txt", frame.camera_to_world)
        four = np.eye(4)
        four[:3, :3] = frame.K
        for sensor in ("color", "depth"):
            _write_matrix(scene / "intrinsic" / f"intrinsic_{sensor}.txt", four)


def _write_matrix(path: Path, matrix: np.ndarray) -> None:
    write_lines(path, (" ".join(f"{value:.9f}" for value in row) for row in matrix))


def _tum_rgbd(root: Path, seed: int) -> None:
    folder = root / "rgbd_dataset_freiburg3_room"
    lines = ["# time tx ty tz qx qy qz qw"]
    for number, frame in enumerate(room(seed, 312, (640, 480), 537.0)):
        time = 1311870427.0 + number * SECONDS
        write_png(folder / "rgb" / f"{time:.6f}.png", frame.image)
        write_png(
            folder / "depth" / f"{time + 0.01:.6f}.png", np.rint(_known(frame.depth, 13) * 5000).astype(np.uint16)
        )
        pose = np.concatenate(
            [frame.camera_to_world[:3, 3], Rotation.from_matrix(frame.camera_to_world[:3, :3]).as_quat()]
        )
        lines.append(f"{time + 0.002:.6f} " + " ".join(f"{value:.8f}" for value in pose))
    write_lines(folder / "groundtruth.txt", lines)


def _ddad(root: Path, seed: int) -> None:
    """Points of every fourth pixel stand for the LiDAR, which lies at the camera."""
    scene, data, samples = root / "000150", [], []
    for number, frame in enumerate(street(seed, 4003, (484, 304), 500.0)):
        name = f"{15616458249936530 + number * 100000}"
        write_png(scene / "rgb/CAMERA_01" / f"{name}.png", frame.image)
        rows, columns = (axis[::4, ::4] for axis in np.mgrid[: frame.depth.shape[0], : frame.depth.shape[1]])
        z = frame.depth[rows, columns]
        rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(frame.K).T
        points = (rays * z[..., None])[z < 250]
        stream = io.BytesIO()
        np.savez_compressed(stream, data=np.c_[points, np.zeros(len(points))].astype(np.float32))
        write_bytes(scene / "point_cloud/LIDAR" / f"{name}.npz", stream.getvalue())
        pose = _dgp_pose(frame.camera_to_world)
        image = {"filename": f"rgb/CAMERA_01/{name}.png", "pose": pose}
        cloud = {"filename": f"point_cloud/LIDAR/{name}.npz", "pose": pose}
        data.append({"key": f"i{number}", "id": {"name": "CAMERA_01"}, "datum": {"image": image}})
        data.append({"key": f"l{number}", "id": {"name": "LIDAR"}, "datum": {"point_cloud": cloud}})
        samples.append({"datum_keys": [f"i{number}", f"l{number}"], "calibration_key": "rig"})
    K = {"fx": frame.K[0, 0], "fy": frame.K[1, 1], "cx": frame.K[0, 2], "cy": frame.K[1, 2]}
    for path, content in (
        (scene / "calibration/rig.json", {"names": ["CAMERA_01"], "intrinsics": [K]}),
        (scene / "scene_rendered.json", {"data": data, "samples": samples}),
        (root / "ddad.json", {"scene_splits": {"1": {"filenames": ["000150/scene_rendered.json"]}}}),
    ):
        write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def _dgp_pose(world_T_camera: np.ndarray) -> dict[str, dict[str, float]]:
    turn = Rotation.from_matrix(world_T_camera[:3, :3]).as_quat()
    move = world_T_camera[:3, 3]
    return {
        "rotation": {key: float(value) for key, value in zip(("qx", "qy", "qz", "qw"), turn, strict=True)},
        "translation": {key: float(value) for key, value in zip("xyz", move, strict=True)},
    }


def _syns_patches(root: Path, seed: int) -> None:
    for number, frame in enumerate(street(seed, 4004, (1242, 376), float(SYNS_FOCAL), 2)):
        write_png(root / "01/images" / f"{number:02d}.png", frame.image)
    write_lines(root / "splits/val_files.txt", ["01 00.png"])
    write_lines(root / "splits/test_files.txt", ["01 01.png", "01 00.png"])


LAYOUTS = {
    "ddad": Layout(_ddad),
    "diode": Layout(_diode),
    "eth3d": Layout(_eth3d),
    "sintel": Layout(_sintel),
    "scannet": Layout(_scannet),
    "tum_rgbd": Layout(_tum_rgbd),
    "syns_patches": Layout(_syns_patches),
}
