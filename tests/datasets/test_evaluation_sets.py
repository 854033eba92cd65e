"""Readers of DDAD, DIODE, ETH3D, Sintel, ScanNet and TUM RGB-D on small trees of their published layouts."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from PIL import Image

from mdtk.config import default_config
from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import build_eval_reader

GENERATOR = np.random.default_rng(8)
H, W = 30, 40
DEPTH = GENERATOR.uniform(1, 9, (H, W)).astype(np.float32)
POSE = {"rotation": {"qw": 1.0, "qx": 0.0, "qy": 0.0, "qz": 0.0}, "translation": {"x": 1.0, "y": 2.0, "z": 3.0}}


def image(path, size=(W, H)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(GENERATOR.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(path)


def file(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def grey(path, scale):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(DEPTH * scale).astype(np.uint16)).save(path)


def diode(root):
    stem = root / "val/indoors/scene_1/scan_2/a"
    image(stem.with_suffix(".png"))
    np.save(f"{stem}_depth.npy", DEPTH[..., None])
    mask = np.ones((H, W), np.float32)
    mask[0] = 0
    np.save(f"{stem}_depth_mask.npy", mask)
    return np.where(mask > 0, DEPTH, 0), "val/indoors/scene_1"


def eth3d(root):
    image(root / "rgb/yard/images/dslr_images/D1.JPG")
    stored = DEPTH.copy()
    stored[3] = np.inf
    file(root / "depth/yard/ground_truth_depth/dslr_images/D1.JPG", stored.tobytes())
    return np.where(np.isinf(stored), 0, stored), "yard"


def sintel(root):
    image(root / "training/final/alley_1/frame_0001.png")
    file(root / "training/depth/alley_1/frame_0001.dpt", struct.pack("<fii", 202021.25, W, H) + DEPTH.tobytes())
    camera_T_world = np.eye(4)
    camera_T_world[:3, 3] = [-1, -2, -3]
    numbers = np.concatenate([np.array([[50, 0, 20], [0, 50, 15], [0, 0, 1]]).ravel(), camera_T_world[:3].ravel()])
    cam = struct.pack("<f", 202021.25) + numbers.astype("<f8").tobytes()
    file(root / "training/camdata_left/alley_1/frame_0001.cam", cam)
    return DEPTH, "final/alley_1"


def scannet(root):
    image(root / "scene0000_00/color/10.jpg")
    grey(root / "scene0000_00/depth/10.png", 1000)
    pose = np.eye(4)
    pose[:3, 3] = [1, 2, 3]
    (root / "scene0000_00/pose").mkdir()
    (root / "scene0000_00/intrinsic").mkdir()
    np.savetxt(root / "scene0000_00/pose/10.txt", pose)
    np.savetxt(root / "scene0000_00/intrinsic/intrinsic_color.txt", np.diag([50, 50, 1, 1]))
    return DEPTH, "scene0000_00"


def tum_rgbd(root):
    folder = root / "rgbd_dataset_freiburg3_desk"
    image(folder / "rgb/100.000000.png")
    image(folder / "rgb/101.000000.png")  # no depth within 0.02 s
    grey(folder / "depth/100.010000.png", 5000)
    file(folder / "groundtruth.txt", b"# time tx ty tz qx qy qz qw\n99.5 0 0 0 0 0 0 1\n100.001 1 2 3 0 0 0 1\n")
    return DEPTH, "rgbd_dataset_freiburg3_desk"


def ddad(root):
    K = {"fx": 20.0, "fy": 20.0, "cx": 19.5, "cy": 14.5}
    scene = root / "000150"
    image(scene / "rgb/CAMERA_01/7.png")
    rows, columns = np.mgrid[0:H, 0:W]
    points = np.stack([(columns - 19.5) / 20 * DEPTH, (rows - 14.5) / 20 * DEPTH, DEPTH], -1).reshape(-1, 3)
    (scene / "point_cloud/LIDAR").mkdir(parents=True)
    lidar = {**POSE, "translation": {"x": 1.0, "y": 2.0, "z": 5.0}}
    behind = np.array([[0.0, 0.0, -30.0]])
    cloud = np.concatenate([points - [0, 0, 2], behind])
    np.savez(scene / "point_cloud/LIDAR/7.npz", data=np.c_[cloud, np.zeros(len(cloud))])
    data = [
        {
            "key": "i",
            "id": {"name": "CAMERA_01"},
            "datum": {"image": {"filename": "rgb/CAMERA_01/7.png", "pose": POSE}},
        },
        {
            "key": "l",
            "id": {"name": "LIDAR"},
            "datum": {"point_cloud": {"filename": "point_cloud/LIDAR/7.npz", "pose": lidar}},
        },
    ]
    file(scene / "scene_x.json", {"data": data, "samples": [{"datum_keys": ["i", "l"], "calibration_key": "c"}]})
    file(scene / "calibration/c.json", {"names": ["CAMERA_01"], "intrinsics": [K]})
    file(root / "ddad.json", {"scene_splits": {"1": {"filenames": ["000150/scene_x.json"]}}})
    return DEPTH, "000150"


SETS = {"diode": diode, "eth3d": eth3d, "sintel": sintel, "scannet": scannet, "tum_rgbd": tum_rgbd, "ddad": ddad}


def open_set(name, root, split):
    cfg = default_config()
    cfg.defrost()
    cfg.ROOTS[name.upper()] = str(root)
    return build_eval_reader(name, cfg, split)


@pytest.mark.parametrize("name", SETS)
def test_reads_its_layout(tmp_path, name):
    depth, recording = SETS[name](tmp_path)
    reader = open_set(name, tmp_path, f"{name}/val")
    assert len(reader) == 1
    assert reader.recording(0) == recording
    (picture,) = reader.images(0, [0])
    assert picture.size == (W, H)
    tolerance = {"scannet": 6e-4, "tum_rgbd": 2e-4, "ddad": 1e-5}.get(name, 0)
    np.testing.assert_allclose(reader.ground_truth(0), depth, atol=tolerance)
    assert reader.intrinsics(0, (W, H)).shape == (3, 3)
    with pytest.raises(MdtkError, match=f"{name} is read image by image"):
        reader.images(0, [-1])
    if name in ("sintel", "scannet", "tum_rgbd", "ddad"):
        np.testing.assert_allclose(reader.pose(0)[:3, 3], [1, 2, 3])
    else:
        with pytest.raises(MdtkError, match="has no poses"):
            reader.pose(0)


@pytest.mark.parametrize("name", SETS)
def test_missing_and_torn_files_are_named(tmp_path, name):
    with pytest.raises(MdtkError, match=f"holds no image of {name}/val"):
        open_set(name, tmp_path, f"{name}/val")
    SETS[name](tmp_path)
    reader = open_set(name, tmp_path, f"{name}/val")
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix in (".npy", ".JPG", ".dpt", ".png", ".npz"):
            path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(MdtkError, match=str(tmp_path)):
        reader.ground_truth(0)


def test_a_list_of_ones_own(tmp_path):
    diode(tmp_path)
    (tmp_path / "some.txt").write_text("val/indoors/scene_1/scan_2/b\n")
    assert open_set("diode", tmp_path, str(tmp_path / "some.txt")).lines == ["val/indoors/scene_1/scan_2/b"]
    with pytest.raises(MdtkError, match="diode has the lists val_indoor, val_outdoor, val, not test"):
        open_set("diode", tmp_path, "diode/test")
