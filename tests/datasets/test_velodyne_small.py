"""The laser's depth map on scans small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.datasets import velodyne

# velodyne x forward, y left, z up → pixels (1-based) of a camera with f = 1: u = 3 - y / x, v = 2 - z / x
PROJECTION = np.array([[3.0, -1, 0, 0], [2, 0, -1, 0], [1, 0, 0, 0]])
SIZE = (4, 3)


def scan(*points: tuple[float, float, float]) -> np.ndarray:
    return np.array([(*point, 0.5) for point in points], np.float32)


def test_one_point_lands_one_pixel_before_its_one_based_position():
    depth = velodyne.generate(scan((10, 0, 0)), PROJECTION, SIZE)
    assert depth.shape == (3, 4)
    assert depth.dtype == np.float32
    assert np.argwhere(depth).tolist() == [[1, 2]]
    assert depth[1, 2] == 10


def test_points_behind_the_scanner_and_outside_the_image_are_left_out():
    assert not velodyne.generate(scan((-10, 0, 0), (1, 9, 0), (1, 0, 9)), PROJECTION, SIZE).any()


def test_points_of_one_pixel_keep_the_nearest():
    depth = velodyne.generate(scan((9, 0, 0), (5, 0, 0), (7, 0, 0)), PROJECTION, SIZE)
    assert depth[1, 2] == 5


def test_last_column_shares_its_index_with_the_next_row():
    end_of_row, start_of_next = (6, -6, 6), (4, 8, 0)  # pixels (row 0, column 3) and (1, 0)
    depth = velodyne.generate(scan(end_of_row, start_of_next), PROJECTION, SIZE)
    assert depth[0, 3] == 4  # the first of the two takes the minimum
    assert depth[1, 0] == 4  # the other keeps its own
    depth = velodyne.generate(scan(start_of_next, end_of_row), PROJECTION, SIZE)
    assert (depth[1, 0], depth[0, 3]) == (4, 6)


def test_camera_depth_instead_of_the_forward_distance():
    shifted = PROJECTION + np.array([[0, 0, 0, 6.0], [0, 0, 0, 4], [0, 0, 0, 2]])  # the camera 2 m behind
    assert velodyne.generate(scan((10, 0, 0)), shifted, SIZE, forward=False).max() == 12
    assert velodyne.generate(scan((10, 0, 0)), shifted, SIZE).max() == 10


def test_truncated_scan_names_the_file(tmp_path):
    path = tmp_path / "0000000000.bin"
    path.write_bytes(b"\0" * 17)
    with pytest.raises(MdtkError, match=r"0000000000\.bin is not a whole number of points"):
        next(velodyne.read_parts(path))


def test_a_scan_in_parts_is_the_scan(tmp_path, monkeypatch):
    monkeypatch.setattr(velodyne, "_PART", 2)
    cloud = scan((9, 0, 0), (5, 0, 0), (6, -6, 6), (4, 8, 0), (-3, 0, 0))
    cloud.tofile(tmp_path / "0000000000.bin")
    parts = velodyne.read_parts(tmp_path / "0000000000.bin")
    read = velodyne.depth_map(parts, PROJECTION, SIZE)
    np.testing.assert_array_equal(read, velodyne.generate(cloud, PROJECTION, SIZE))
    assert (read[1, 2], read[0, 3], read[1, 0]) == (5, 4, 4)
    assert not velodyne.generate(scan()[:0].reshape(0, 4), PROJECTION, SIZE).any()
