"""NYUv2, Make3D and Cityscapes in the sample world: real layouts and sizes, images that agree with depth and camera."""

from __future__ import annotations

import json

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

import mdtk.datasets.readers.make3d as published_make3d
import mdtk.datasets.readers.nyuv2 as published_nyuv2
from mdtk.synthetic import cityscapes_layout as cityscapes
from mdtk.synthetic import make3d_layout as make3d
from mdtk.synthetic import make_sample
from mdtk.synthetic import nyuv2_layout as nyuv2
from mdtk.synthetic.render import render_depth, render_frame, render_image
from mdtk.synthetic.world_camera import Camera, distorted, undistorted


@pytest.fixture(scope="module")
def sample(tiny_world):
    return tiny_world


def lines(path):
    return path.read_text().splitlines()


def test_lens_model_is_opencv_s():
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, 9), np.linspace(-0.45, 0.45, 7))
    distortion = nyuv2.RAW.distortion
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1)
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.array(distortion))[0].reshape(-1, 2)
    assert np.allclose(np.stack(distorted(x, y, distortion), -1).reshape(-1, 2), expected, atol=1e-9)
    back = undistorted(*distorted(x, y, distortion), distortion)
    assert np.allclose(back, (x, y), atol=1e-6)


def test_constants_are_those_of_the_readers():
    assert (nyuv2.PINHOLE.fx, nyuv2.PINHOLE.fy, nyuv2.PINHOLE.cx, nyuv2.PINHOLE.cy) == published_nyuv2.RGB_K
    assert nyuv2.RAW.distortion == published_nyuv2.RGB_DISTORTION
    assert (make3d.ROWS, make3d.COLUMNS) == published_make3d.GRID
    size = published_make3d.SIZE
    focal = [published_make3d.FOCAL[k] * size[k] for k in range(2)]
    assert np.allclose([make3d.CAMERA.fx, make3d.CAMERA.fy], focal)


def test_undistorting_a_raw_frame_gives_the_pinhole_view(sample):
    scene = nyuv2.SIZES["tiny"].scenes[0]
    raw = np.asarray(Image.open(sample / "nyuv2" / scene.file(3)))
    assert raw.shape == (480, 640, 3)
    straight = cv2.undistort(raw, nyuv2.PINHOLE.K, np.array(nyuv2.RAW.distortion)).astype(float)
    truth = nyuv2.raw_frame(scene, 0, 3, nyuv2.PINHOLE).image.astype(float)
    error, untreated = (np.abs(image - truth)[16:-16, 16:-16].mean() for image in (straight, raw))
    assert error < 3
    assert error < untreated / 3


def test_neighbouring_raw_frames_agree_by_depth_and_pose():
    scene = nyuv2.SIZES["small"].scenes[0]
    camera = nyuv2.PINHOLE.scaled(0.4)
    target, source = (nyuv2.raw_frame(scene, 0, number, camera) for number in (5, 6))
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    z = target.depth.astype(float)
    points = np.stack([x * z, y * z, z], -1) @ np.linalg.inv(camera.K).T
    T = np.linalg.inv(source.camera_to_world) @ target.camera_to_world
    assert 0.01 < np.linalg.norm(T[:3, 3]) < 0.3
    projected = (points @ T[:3, :3].T + T[:3, 3]) @ camera.K.T
    u, v = (np.float32(projected[..., k] / projected[..., 2]) for k in range(2))
    warped = cv2.remap(source.image.astype(np.float32), u, v, cv2.INTER_LINEAR)
    there = cv2.remap(source.depth, u, v, cv2.INTER_NEAREST, borderValue=-1)
    visible = np.abs(there - projected[..., 2]) < 0.03 * projected[..., 2]
    error = np.abs(warped - target.image)[visible].mean()
    assert visible.mean() > 0.7
    assert error < 4
    assert error < np.abs(source.image.astype(float) - target.image)[visible].mean() / 3


def test_nyu_training_lines_are_ten_raw_frames_apart(sample):
    root = sample / "nyuv2"
    rows = [line.split() for line in lines(root / "splits/nyuv2/train_files.txt")]
    assert rows
    for row in rows:
        assert len(row) == 9
        assert all((root / path).is_file() for path in row)
        stamps = np.array([float(path.split("/r-")[1].split("-")[0]) for path in row])
        assert np.allclose(stamps[1:] - stamps[0], np.array([-4, -3, -2, -1, 1, 2, 3, 4]) / 3, atol=0.004)
    moved = [np.abs(nyuv2_image(root / row[0]) - nyuv2_image(root / row[5])).mean() for row in rows]
    assert min(moved) > 5


def nyuv2_image(path):
    return np.asarray(Image.open(path)).astype(float)


def test_a_resting_camera_is_left_out_of_the_training_lines():
    scene = nyuv2.RawScene("study_0001", 0, 30, 5, still=8)
    used = {path for line in nyuv2.train_lines(scene) for path in line.split()}
    assert used == {scene.file(number) for number in range(22)}
    assert scene.seconds(21) == scene.seconds(29)


def test_nyu_test_images_are_the_same_in_both_forms(sample):
    root = sample / "nyuv2"
    listed = lines(root / "splits/nyuv2/test_files.txt")
    assert sorted(str(path.relative_to(root)) for path in (root / "nyu_test").iterdir()) == listed
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as labeled:
        assert labeled["images"].shape[1:] == (3, 640, 480)
        for line in listed:
            number = int(line[-8:-3])
            with h5py.File(root / line) as single:
                rgb, depth = single["rgb"][:], single["depth"][:]
            assert (rgb.shape, rgb.dtype) == ((3, 480, 640), np.uint8)
            assert (depth.shape, depth.dtype) == ((480, 640), np.float32)
            assert depth.min() > 0.3
            assert depth.max() < 10
            assert np.array_equal(labeled["images"][number - 1].transpose(0, 2, 1), rgb)
            assert np.array_equal(labeled["depths"][number - 1].T, depth)


def test_make3d_grid_lies_over_the_image(sample):
    root = sample / "make3d"
    for name in lines(root / "splits/make3d/test_files.txt"):
        with Image.open(root / "Test134" / f"img-{name}.jpg") as image:
            assert image.size == (1704, 2272)
        stored = scipy.io.loadmat(root / "Gridlaserdata" / f"depth_sph_corr-{name}.mat")["Position3DGrid"]
        assert stored.shape == (55, 305, 4)
        scene, pose = make3d.view(0, 0)
        dense = render_depth(scene.at(0), make3d.CAMERA.scaled(0.25), pose)[0]
        rows = np.rint((np.arange(55) + 0.5) / 55 * dense.shape[0] - 0.5).astype(int)
        columns = np.rint((np.arange(305) + 0.5) / 305 * dense.shape[1] - 0.5).astype(int)
        expected = np.minimum(dense[np.ix_(rows, columns)], 81)
        assert np.mean(np.abs(stored[..., 3] / expected - 1) < 0.05) > 0.9
        assert np.mean(stored[17:38, :, 3] < 70) > 0.2


def test_cityscapes_files(sample):
    root = sample / "cityscapes"
    for split, offsets in (("train", (-2, 0, 2)), ("test", (0,))):
        for line in lines(root / f"splits/cityscapes/{split}_files.txt"):
            city, name = line.split()
            stem, frame = name.rsplit("_", 1)
            for offset in offsets:
                path = root / f"leftImg8bit_sequence/{split}/{city}/{stem}_{int(frame) + offset:06d}_leftImg8bit.png"
                with Image.open(path) as image:
                    assert image.size == (2048, 1024)
            assert list((root / "camera" / split / city).glob(f"{stem}_*_camera.json"))


def test_cityscapes_disparity_and_camera_give_the_depth(sample):
    root, city = sample / "cityscapes", cityscapes.SIZES["tiny"].cities[-1]
    name = city.frame_name(0, cityscapes.ANNOTATED)
    stored = cv2.imread(str(root / f"disparity/test/{city.name}/{name}_disparity.png"), cv2.IMREAD_UNCHANGED)
    camera = json.loads((root / f"camera/test/{city.name}/{name}_camera.json").read_text())
    disparity = (stored.astype(float) - 1) / 256
    depth = camera["extrinsic"]["baseline"] * camera["intrinsic"]["fx"] / np.where(stored > 0, disparity, np.nan)
    drive = cityscapes.snippet_drive(city, 0, 0)
    dense, _ = render_depth(drive.scene.at(19), city.camera, drive.camera_to_world(19, "l"))
    near = (stored > 0) & (dense < 80)
    assert near.mean() > 0.4
    assert np.nanmax(np.abs(depth[near] / dense[near] - 1)) < 0.01
    assert (stored[dense > 200] == 0).all()


def test_cities_have_their_own_intrinsics():
    for scale, size in cityscapes.SIZES.items():
        cameras = {(city.focal, city.center) for city in size.cities}
        assert len(cameras) == len(size.cities), scale


def test_an_enlarged_image_still_fits_its_camera():
    """The image of the half-size camera, enlarged, is that of the full-size camera: pixel centres agree."""
    city = cityscapes.SIZES["tiny"].cities[0]
    drive = cityscapes.snippet_drive(city, 0, 0)
    camera, pose = city.camera.scaled(0.25), drive.camera_to_world(17, "l")
    full = render_image(drive.scene, drive.scene.at(17), camera, pose).astype(float)
    half = render_image(drive.scene, drive.scene.at(17), camera.scaled(0.5), pose)
    enlarged = cv2.resize(half, full.shape[1::-1], interpolation=cv2.INTER_CUBIC).astype(float)
    grey = [np.ascontiguousarray(image.mean(axis=2)) for image in (full, enlarged)]
    (dx, dy), _ = cv2.phaseCorrelate(*grey)
    assert abs(dx) < 0.15  # half a pixel of the enlarged image, were the centres wrong
    assert abs(dy) < 0.15


def test_bands_do_not_show(monkeypatch):
    """An image rendered in bands equals the image rendered at once."""
    drive = cityscapes.snippet_drive(cityscapes.SIZES["tiny"].cities[0], 0, 0)
    camera, pose = Camera(100, 100, 63.5, 31.5, 128, 64), drive.camera_to_world(0, "l")
    whole = render_frame(drive.scene, camera, pose).image
    monkeypatch.setattr("mdtk.synthetic.render._RAYS_AT_ONCE", 128 * 4 * 10)
    banded = render_frame(drive.scene, camera, pose).image
    assert np.abs(whole.astype(int) - banded).max() <= 1


def test_the_same_seed_gives_the_same_bytes(sample, tmp_path):
    """This holds also for the formats that could store a date: HDF5, .mat, JPEG."""
    make_sample(tmp_path, "tiny", 0, ["make3d"], jobs=1)
    for path in (tmp_path / "make3d").rglob("*.*"):
        assert path.read_bytes() == (sample / "make3d" / path.relative_to(tmp_path / "make3d")).read_bytes()
    nyuv2._write_labeled(tmp_path, 1, 0)
    assert (tmp_path / "nyu_test/00001.h5").read_bytes() == (sample / "nyuv2/nyu_test/00001.h5").read_bytes()
