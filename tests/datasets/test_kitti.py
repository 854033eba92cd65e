"""KITTI raw and odometry on a tiny tree."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.datasets.reader import STEREO
from mdtk.datasets.readers.kitti import KittiOdom, KittiRaw

DATE, DRIVE = "2011_09_26", "2011_09_26/2011_09_26_drive_0001_sync"
WIDTH, HEIGHT = 40, 24
LINES = [f"{DRIVE} {frame} {side}" for frame in (1, 2) for side in "lr"]


def write_image(path, value, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def write_depth(path, metres):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((metres * 256).astype(np.uint16)).save(path)


@pytest.fixture
def raw_root(tmp_path):
    for frame in range(4):
        write_image(tmp_path / DRIVE / "image_02" / "data" / f"{frame:010d}.png", 20 + frame)
        write_image(tmp_path / DRIVE / "image_03" / "data" / f"{frame:010d}.jpg", 120 + frame)
    (tmp_path / DATE / "calib_cam_to_cam.txt").write_text(
        "calib_time: 09-Jan-2012 13:57:47\n"
        "R_rect_00: 1 0 0 0 1 0 0 0 1\n"
        f"S_rect_02: {WIDTH} {HEIGHT}\nS_rect_03: {WIDTH} {HEIGHT}\n"
        "P_rect_02: 30 0 19 1.5 0 30 11 0 0 0 1 0\n"
        "P_rect_03: 30 0 18 -13.5 0 30 11 0 0 0 1 0\n"
    )
    (tmp_path / DATE / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")
    scans = tmp_path / DRIVE / "velodyne_points" / "data"
    scans.mkdir(parents=True)
    np.array([[15, 0, 0, 0.5]], np.float32).tofile(scans / f"{1:010d}.bin")
    return tmp_path


def grey(image):
    return round(float(np.asarray(image).mean()))


def test_images_of_both_cameras_whatever_their_format(raw_root):
    reader = KittiRaw(raw_root, LINES)
    assert [grey(image) for image in reader.images(0, [0, -1, 1, STEREO])] == [21, 20, 22, 121]
    assert [grey(image) for image in reader.images(3, [0, -1, STEREO])] == [122, 121, 22]
    assert [path.suffix for path in reader.files(0, [0, STEREO])] == [".png", ".jpg"]
    assert reader.name(1) == LINES[1]


def test_ten_digit_frames_are_the_same_frames(raw_root):
    reader = KittiRaw(raw_root, [f"{DRIVE} 0000000002 l", f"{DRIVE} 2 l"])
    assert reader.files(0, [0]) == reader.files(1, [0])


def test_nominal_and_calibrated_intrinsics(raw_root):
    nominal = KittiRaw(raw_root, LINES).intrinsics(0, (100, 50))
    np.testing.assert_allclose(nominal, [[58, 0, 50], [0, 96, 25], [0, 0, 1]])
    resized = KittiRaw(raw_root, LINES).resized_intrinsics(0, (1242, 375), (640, 192))
    np.testing.assert_allclose(
        resized, [[371.2, 0, 320], [0, 368.64, 96], [0, 0, 1]]
    )  # field facts: fractions of 640x192
    calibrated = KittiRaw(raw_root, LINES, "calibrated")
    np.testing.assert_allclose(calibrated.intrinsics(0, (WIDTH, HEIGHT)), [[30, 0, 19], [0, 30, 11], [0, 0, 1]])
    half = calibrated.resized_intrinsics(0, (WIDTH, HEIGHT), (WIDTH // 2, HEIGHT // 2))
    np.testing.assert_allclose(half, [[15, 0, 9.25], [0, 15, 5.25], [0, 0, 1]])
    assert calibrated.intrinsics(1, (WIDTH, HEIGHT))[0, 2] == 18
    with pytest.raises(MdtkError, match="calibrated for 40x24 pixels, the image has 20x12"):
        calibrated.intrinsics(0, (20, 12))


def test_calibration_is_read_once_a_day_and_travels_with_the_reader(raw_root):
    reader = KittiRaw(raw_root, LINES, "calibrated")
    before = reader.intrinsics(0, (WIDTH, HEIGHT))
    (raw_root / DATE / "calib_cam_to_cam.txt").unlink()
    copy = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(copy.intrinsics(2, (WIDTH, HEIGHT)), before)


def test_stereo_pose(raw_root):
    assert KittiRaw(raw_root, LINES).stereo_pose(0) == (-1, 0.54)
    sign, baseline = KittiRaw(raw_root, LINES, "calibrated").stereo_pose(1)
    assert sign == 1
    assert baseline == pytest.approx(0.5)


def test_velodyne_ground_truth(raw_root):
    reader = KittiRaw(raw_root, LINES)
    left, right = reader.ground_truth(0), reader.ground_truth(1, "velodyne")
    # u = (30 · 0 + 19 · 15 + 1.5) / 15 = 19.1 → 19, one pixel less; the right camera: (18 · 15 - 13.5) / 15 = 17.1
    assert np.argwhere(left).tolist() == [[10, 18]]
    assert np.argwhere(right).tolist() == [[10, 16]]
    assert left[10, 18] == 15


def test_improved_ground_truth_in_the_drive_and_in_the_official_tree(raw_root):
    metres = np.zeros((HEIGHT, WIDTH))
    metres[3, 4] = 12.5
    write_depth(raw_root / DRIVE / "proj_depth/groundtruth/image_02/0000000001.png", metres)
    write_depth(raw_root / "val" / DRIVE.split("/")[1] / "proj_depth/groundtruth/image_03/0000000002.png", metres * 2)
    reader = KittiRaw(raw_root, LINES)
    assert reader.ground_truth(0, "improved")[3, 4] == 12.5
    depth = reader.ground_truth(3, "improved")
    assert depth.dtype == np.float32
    assert depth.max() == 25
    with pytest.raises(MdtkError, match=r"ground truth not found: .*image_03/0000000001\.png"):
        reader.ground_truth(1, "improved")


def test_benchmark_images(raw_root):
    write_image(raw_root / "image" / "0000000007.png", 77)
    (raw_root / "intrinsics").mkdir()
    (raw_root / "intrinsics" / "0000000007.txt").write_text("50 0 20 0 51 12 0 0 1\n")
    reader = KittiRaw(raw_root, ["image 7"], "calibrated")
    assert grey(reader.images(0, [0])[0]) == 77
    assert reader.intrinsics(0, (WIDTH, HEIGHT))[1, 1] == 51
    with pytest.raises(MdtkError, match="no public ground truth"):
        reader.ground_truth(0)
    with pytest.raises(MdtkError, match="no stereo pairs"):
        reader.stereo_pose(0)


@pytest.mark.parametrize("line", [f"{DRIVE} 1", f"{DRIVE} one l", f"{DRIVE} 1 left", "drive 1 l", f"{DRIVE} 1 l x"])
def test_bad_line_is_named(raw_root, line):
    with pytest.raises(MdtkError, match=r"list, line 2: cannot read '.*'; a line is '<date>/<drive> <frame>"):
        KittiRaw(raw_root, [LINES[0], line]).images(1, [0])


def test_missing_and_broken_files_are_named(raw_root):
    reader = KittiRaw(raw_root, LINES, "calibrated")
    with pytest.raises(MdtkError, match=r"image not found: .*0000000004\.png"):
        reader.images(2, [2])
    with pytest.raises(MdtkError, match=r"laser scan not found: .*0000000002\.bin"):
        reader.ground_truth(2)
    with pytest.raises(MdtkError, match="no ground truth 'sparse'"):
        reader.ground_truth(0, "sparse")
    calibration = raw_root / DATE / "calib_cam_to_cam.txt"
    calibration.write_text(calibration.read_text().replace("P_rect_03: 30", "P_rect_03:"))
    with pytest.raises(MdtkError, match=r"calib_cam_to_cam\.txt: P_rect_03 must have 12 numbers, found 11 numbers"):
        KittiRaw(raw_root, LINES, "calibrated").intrinsics(0, (WIDTH, HEIGHT))
    calibration.unlink()
    with pytest.raises(MdtkError, match=r"calibration not found: .*calib_cam_to_cam\.txt"):
        KittiRaw(raw_root, LINES, "calibrated").stereo_pose(0)
    with pytest.raises(MdtkError, match="data root of kitti_raw not found"):
        KittiRaw(raw_root / "elsewhere", LINES)


def test_depth_of_eight_bits_is_refused(raw_root):
    write_image(raw_root / DRIVE / "proj_depth/groundtruth/image_02/0000000001.png", 5)
    with pytest.raises(MdtkError, match="is a RGB image, but the ground truth is a 16-bit grey PNG"):
        KittiRaw(raw_root, LINES).ground_truth(0, "improved")


@pytest.fixture
def odometry_root(tmp_path):
    folder = tmp_path / "sequences" / "09"
    for frame in range(3):
        write_image(folder / "image_2" / f"{frame:06d}.png", 20 + frame)
        write_image(folder / "image_3" / f"{frame:06d}.png", 120 + frame)
    (folder / "calib.txt").write_text("P2: 30 0 19 1.5 0 30 11 0 0 0 1 0\nP3: 30 0 18 -13.5 0 30 11 0 0 0 1 0\n")
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses" / "09.txt").write_text("".join(f"1 0 0 0 0 1 0 0 0 0 1 {z}\n" for z in range(3)))
    return tmp_path


def test_odometry(odometry_root):
    reader = KittiOdom(odometry_root, ["9 1 l", "09 1 r"], "calibrated")
    assert [grey(image) for image in reader.images(0, [0, -1, 1, STEREO])] == [21, 20, 22, 121]
    assert [grey(image) for image in reader.images(1, [0, STEREO])] == [121, 21]
    assert reader.intrinsics(1, (WIDTH, HEIGHT))[0, 2] == 18
    assert reader.stereo_pose(0) == (-1, pytest.approx(0.5))
    poses = reader.poses(9)
    assert poses.shape == (3, 4, 4)
    assert poses[2, 2, 3] == 2
    with pytest.raises(MdtkError, match=r"poses not found: .*10\.txt"):
        reader.poses(10)
    with pytest.raises(MdtkError, match="no ground truth"):
        reader.ground_truth(0)
    (odometry_root / "poses" / "09.txt").write_text("1 2 3\n4 5\n")
    with pytest.raises(MdtkError, match=r"poses cannot be read: .*09\.txt"):
        reader.poses(9)
