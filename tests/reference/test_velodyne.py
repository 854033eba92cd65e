"""The laser's depth maps against the published evaluator's, on a real sweep: exact up to float32.

The sweep is KITTI's own, so that it is no part of the committed vectors: these tests need the full set.
"""

from __future__ import annotations

import numpy as np
import pytest

from mdtk.datasets import velodyne
from mdtk.datasets.kitti_calibration import read_raw_cameras, velodyne_projection


@pytest.fixture(autouse=True)
def _full_set(reference):
    if reference.thinned:
        pytest.skip("the committed vectors hold no laser sweep; MDTK_REFERENCE names the full set")


@pytest.mark.parametrize("camera", [2, 3])
@pytest.mark.parametrize("forward", [False, True])
def test_real_sweep(reference, camera, forward):
    stored = reference.npz("velodyne")
    cameras = read_raw_cameras(reference.folder)
    depth = velodyne.generate(stored["points"], velodyne_projection(cameras, camera), cameras.sizes[2], forward)
    name = f"cam{camera}_veldepth{int(forward)}"
    expected = stored[name]
    np.testing.assert_array_equal(depth > 0, expected > 0)
    np.testing.assert_allclose(depth, expected, rtol=2e-7)
    assert (depth > 0).sum() > 10000


def test_cloud_with_many_shared_pixels(reference):
    stored = reference.npz("velodyne")
    cameras = read_raw_cameras(reference.folder)
    depth = velodyne.generate(stored["dense_points"], velodyne_projection(cameras, 2), cameras.sizes[2])
    np.testing.assert_array_equal(depth, stored["dense_cam2_veldepth1"])
