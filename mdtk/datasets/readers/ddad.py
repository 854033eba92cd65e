"""Reader of DDAD (Guizilini et al. 2020), front camera: laser points projected into the image, in the DGP tree."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.guard import read_json, reading
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.map_files import load_array
from mdtk.datasets.scanned import ScannedReader
from mdtk.geometry.camera import intrinsics

FRONT, LIDAR = "CAMERA_01", "LIDAR"
MOST_BYTES = 64 << 20  # of a scene's file; they have some hundred KB
HINT = "extract DDAD_train_val below the data root"


def matrix_of(pose: dict[str, Any]) -> np.ndarray:
    """A pose of a DGP file, {rotation: {qw …}, translation: {x …}}, as (4, 4) float64."""
    turn, move = pose["rotation"], pose["translation"]
    found = np.eye(4)
    found[:3, :3] = Rotation.from_quat([turn[key] for key in ("qx", "qy", "qz", "qw")]).as_matrix()
    found[:3, 3] = [move[key] for key in ("x", "y", "z")]
    if not np.isfinite(found).all():
        raise ValueError("a pose is not finite")
    return found


@functools.lru_cache(maxsize=8)
def _scene(path: Path) -> dict[str, dict[str, Any]]:
    """Of a scene's file: the image's name → {"camera": pose, "lidar": pose, "points": file, "calibration": key}."""
    scene = read_json(path, "scene", HINT, MOST_BYTES)
    with reading(path, "scene", HINT):
        data = {datum["key"]: datum for datum in scene["data"]}
        found = {}
        for sample in scene["samples"]:
            named = {data[key]["id"]["name"].upper(): data[key] for key in sample["datum_keys"]}
            image, cloud = named[FRONT]["datum"]["image"], named[LIDAR]["datum"]["point_cloud"]
            found[Path(image["filename"]).stem] = {
                "camera": matrix_of(image["pose"]),
                "lidar": matrix_of(cloud["pose"]),
                "points": str(cloud["filename"]),
                "calibration": str(sample["calibration_key"]),
            }
        return found


def read_intrinsics(path: Path) -> np.ndarray:
    """K (3, 3) float64 of the front camera in a calibration file."""
    stored = read_json(path, "calibration", HINT)
    with reading(path, "calibration", HINT):
        K = stored["intrinsics"][[name.upper() for name in stored["names"]].index(FRONT)]
        numbers = [float(K[key]) for key in ("fx", "fy", "cx", "cy")]
    if not (np.abs(numbers) < 1e6).all() or min(numbers[:2]) <= 0:
        raise MdtkError(f"{path}: holds numbers of no camera; {HINT}")
    return intrinsics(*numbers)


@dataset_reader("ddad")
class Ddad(ScannedReader):
    """<root>/<scene>/scene_*.json, calibration/<key>.json, rgb/CAMERA_01/<time>.png, point_cloud/LIDAR/<time>.npz."""

    hint = "set ROOTS.DDAD or MDTK_DATASETS; see datasets/README.md for the expected tree"

    @classmethod
    def scan(cls, root: Path, part: str) -> list[str]:
        """Every image of the front camera, of the scenes that <root>/ddad.json lists for `part` where it is there."""
        listing = root / "ddad.json"
        scenes = {path.parent.name for path in root.glob("*/scene_*.json")}
        if listing.is_file():
            stored = read_json(listing, "list of scenes", HINT, MOST_BYTES)
            with reading(listing, "list of scenes", HINT):
                named = stored["scene_splits"].get("1" if part == "val" else "0", {}).get("filenames", [])
                scenes &= {name.split("/")[0] for name in named}
        return [
            f"{path.parts[-4]}/{path.stem}" for path in root.glob(f"*/rgb/{FRONT}/*.png") if path.parts[-4] in scenes
        ]

    def image_file(self, line: str) -> Path:
        scene, _, time = line.partition("/")
        return self.root / scene / "rgb" / FRONT / f"{time}.png"

    def _facts(self, index: int) -> tuple[Path, dict[str, Any]]:
        scene, _, time = self.lines[index].partition("/")
        folder = self.inside(self.root / scene)
        files = sorted(folder.glob("scene_*.json"))
        if not files or time not in (facts := _scene(files[0])):
            raise MdtkError(f"{folder}: no scene_*.json that knows the frame {time}; {HINT}")
        return folder, facts[time]

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        folder, facts = self._facts(index)
        return read_intrinsics(self.inside(folder / "calibration" / f"{facts['calibration']}.json"))

    def pose(self, index: int, offset: int = 0) -> np.ndarray:
        """See `DatasetReader.pose`."""
        pose: np.ndarray = self._facts(index)[1]["camera"]
        return pose

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32 in metres at the pixels that a laser point falls on, the nearest of several; else 0."""
        folder, facts = self._facts(index)
        path = require_file(self.inside(folder / facts["points"]), "point cloud", HINT)
        points = load_array(path)
        if points.ndim != 2 or points.shape[1] < 3:
            raise MdtkError(f"{path}: has the shape {points.shape}; points are N x 3 or more; {HINT}")
        points = points[:, :3].astype(np.float64)
        camera_T_lidar = np.linalg.inv(facts["camera"]) @ facts["lidar"]
        in_camera = points @ camera_T_lidar[:3, :3].T + camera_T_lidar[:3, 3]
        in_camera = in_camera[in_camera[:, 2] > 0]
        width, height = open_rgb(self.files(index, [0])[0]).size
        projected = in_camera @ self.intrinsics(index, (width, height)).T
        places = np.round(projected[:, :2] / projected[:, 2:]).astype(int)
        inside = ((places >= 0) & (places < (width, height))).all(axis=1)
        places, depth = places[inside], in_camera[inside, 2]
        order = np.argsort(-depth, kind="stable")  # the nearest is written last
        found = np.zeros((height, width), np.float32)
        found[places[order, 1], places[order, 0]] = depth[order]
        return found
