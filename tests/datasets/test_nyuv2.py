"""NYU Depth v2: raw frames with nine columns, test images from .h5 and from the official .mat."""

from __future__ import annotations

import pickle

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.datasets.reader import STEREO
from mdtk.datasets.readers import nyuv2
from mdtk.datasets.readers.nyuv2 import NYUv2

FRAMES = [f"nyu_depth_v2/kitchen_0001/r-{k}.5-{k}00.ppm" for k in (0, -4, -3, -2, -1, 1, 2, 3, 4)]
LINE = "\t".join(FRAMES)
TEST = "nyu_test/00002.h5"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "nyu_depth_v2" / "kitchen_0001").mkdir(parents=True)
    y, x = np.mgrid[:480, :640]
    for number, frame in enumerate(FRAMES):
        pixels = np.stack([(x * 7 + y * 3) % 256, (x // 2 + 9 * number) % 256, y // 2], -1).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / frame)
    return tmp_path


@pytest.fixture
def labelled():
    rgb = np.random.default_rng(3).integers(0, 256, (3, 480, 640), dtype=np.uint8)
    return rgb, (1 + np.arange(480 * 640).reshape(480, 640) / 1e5).astype(np.float32)


def write_h5(root, rgb, depth):
    (root / "nyu_test").mkdir(exist_ok=True)
    with h5py.File(root / TEST, "w") as file:
        file["rgb"], file["depth"] = rgb, depth


def test_training_image_is_undistorted_and_cut(root):
    reader = NYUv2(root, [LINE])
    images = reader.images(0, [0, -1, 1, 4])
    stored = np.asarray(Image.open(root / FRAMES[0]))
    fx, fy, cx, cy = nyuv2.RGB_K
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    expected = cv2.undistort(stored, matrix, np.array(nyuv2.RGB_DISTORTION))[16:-16, 16:-16]
    assert images[0].size == (608, 448)
    np.testing.assert_array_equal(np.asarray(images[0]), expected)
    # the columns' order: green counts them
    greens = [np.asarray(image)[200, 300, 1].astype(int) for image in images]
    assert [(green - greens[0]) % 256 for green in greens] == [0, 4 * 9, 5 * 9, 8 * 9]
    np.testing.assert_allclose(reader.intrinsics(0, (608, 448)), [[fx, 0, cx - 16], [0, fy, cy - 16], [0, 0, 1]])
    assert reader.name(0) == FRAMES[0]
    assert len(pickle.loads(pickle.dumps(reader)).images(0, [0])) == 1


def test_undistortion_moves_corners_outwards():
    # a point that the lens shows at its distorted place must land where the pinhole camera has it
    fx, fy, cx, cy = nyuv2.RGB_K
    k1, k2, p1, p2, k3 = nyuv2.RGB_DISTORTION
    x, y = (60 - cx) / fx, (400 - cy) / fy
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = fx * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + cx
    v = fy * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + cy
    rows, columns = np.mgrid[:480, :640]
    blob = 255 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / 18)
    image = nyuv2.undistort(Image.fromarray(np.repeat(blob.astype(np.uint8)[..., None], 3, -1)))
    weight = np.asarray(image)[..., 0].astype(float)
    centre = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
    assert abs(u - 60) > 1  # the test would see a missing undistortion
    np.testing.assert_allclose(centre, (60, 400), atol=0.2)


def check_test_entry(reader, rgb, depth):
    image = reader.images(0, [0])[0]
    np.testing.assert_array_equal(np.asarray(image), rgb.transpose(1, 2, 0)[44:471, 40:601])
    got = reader.ground_truth(0)
    assert got.shape == (427, 561)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, depth[44:471, 40:601])
    fx, fy, cx, cy = nyuv2.RGB_K
    np.testing.assert_allclose(reader.intrinsics(0, (561, 427)), [[fx, 0, cx - 40], [0, fy, cy - 44], [0, 0, 1]])


def test_h5(tmp_path, labelled):
    write_h5(tmp_path, *labelled)
    reader = NYUv2(tmp_path, [TEST])
    check_test_entry(reader, *labelled)
    assert reader.files(0, [0]) == [tmp_path / TEST]


def test_official_mat(tmp_path, labelled):
    rgb, depth = labelled
    with h5py.File(tmp_path / nyuv2.LABELED, "w") as file:
        file["images"] = np.stack([np.zeros_like(rgb), rgb]).swapaxes(-1, -2)
        file["depths"] = np.stack([np.zeros_like(depth), depth]).swapaxes(-1, -2)
    check_test_entry(NYUv2(tmp_path, [TEST]), rgb, depth)
    with pytest.raises(MdtkError, match="has 2 images, no number 3"):
        NYUv2(tmp_path, ["nyu_test/00003.h5"]).images(0, [0])
    write_h5(tmp_path, rgb[::-1], depth * 2)  # the entry's own file comes first
    check_test_entry(NYUv2(tmp_path, [TEST]), rgb[::-1], depth * 2)


def test_unknown_depth_is_zero(tmp_path, labelled):
    rgb, depth = labelled
    depth[100, 100] = np.nan
    write_h5(tmp_path, rgb, depth)
    assert NYUv2(tmp_path, [TEST]).ground_truth(0)[56, 60] == 0


def test_bad_files_are_one_sentence(tmp_path, labelled):
    reader = NYUv2(tmp_path, [TEST, "nyu_test/two.h5"])
    with pytest.raises(MdtkError, match=r"file not found: .*00002\.h5; put the per-image \.h5 files or"):
        reader.images(0, [0])
    write_h5(tmp_path, *labelled)
    path = tmp_path / TEST
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(MdtkError, match=r"HDF5 file cannot be read: .*00002"):
        reader.ground_truth(0)
    with h5py.File(path, "w") as file:
        file["rgb"] = labelled[0][:, :100]
    with pytest.raises(MdtkError, match=r"00002\.h5: rgb has shape \(3, 100, 640\)"):
        reader.images(0, [0])
    with pytest.raises(MdtkError, match=r"00002\.h5: has no dataset depth"):
        reader.ground_truth(0)
    path.unlink()
    (tmp_path / nyuv2.LABELED).write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(MdtkError, match=r"HDF5 file cannot be read: .*nyu_depth_v2_labeled\.mat"):
        reader.images(0, [0])
    with pytest.raises(MdtkError, match=r"line 2: 'nyu_test/two\.h5' has no number"):
        reader.images(1, [0])


def test_truncated_data_behind_an_intact_header(tmp_path, labelled):
    write_h5(tmp_path, *labelled)
    path = tmp_path / TEST
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MdtkError, match=r"HDF5 file cannot be read: .*00002"):
        NYUv2(tmp_path, [TEST]).images(0, [0])


def test_bad_requests(root):
    reader = NYUv2(root, [LINE, " ".join(FRAMES[:3]), TEST])
    with pytest.raises(MdtkError, match="have the frames -4 … 4, not 5"):
        reader.images(0, [5])
    with pytest.raises(MdtkError, match="no stereo pairs"):
        reader.images(0, [STEREO])
    with pytest.raises(MdtkError, match="line 2: has 3 columns"):
        reader.images(1, [0])
    with pytest.raises(MdtkError, match="no aligned depth"):
        reader.ground_truth(0)
    with pytest.raises(MdtkError, match="K belongs to 608x448 pixels, not 640x480"):
        reader.intrinsics(0, (640, 480))
    (root / FRAMES[1]).unlink()
    with pytest.raises(MdtkError, match=r"image not found: .*r--4\.5--400\.ppm"):
        reader.images(0, [0, -4])
    (root / FRAMES[2]).write_bytes((root / FRAMES[2]).read_bytes()[:1000])
    with pytest.raises(MdtkError, match=r"image cannot be read: .*r--3\.5--300\.ppm"):
        reader.images(0, [-3])
    Image.new("RGB", (320, 240)).save(root / FRAMES[3])
    with pytest.raises(MdtkError, match="is 320x240 pixels; raw NYU frames are 640x480"):
        reader.images(0, [-2])
