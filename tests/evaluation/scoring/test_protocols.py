"""Protocol rows: crops as published, names, variants, ranges, descriptions, a row of one's own."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import DATASETS
from mdtk.evaluation.scoring.metrics import METRICS
from mdtk.evaluation.scoring.protocols import (
    CITYSCAPES_CROP,
    GARG,
    INTERPOLATIONS,
    MEDIANS,
    NYU_FRAME,
    PROTOCOLS,
    benchmarks,
    get_protocol,
    register_protocol,
)

PUBLISHED_CROPS = {  # (height, width) → first and last row and column, by the published evaluators
    (375, 1242): (153, 371, 44, 1197),
    (370, 1224): (151, 366, 43, 1180),
    (374, 1238): (152, 370, 44, 1193),
    (370, 1226): (151, 366, 44, 1181),
    (376, 1241): (153, 372, 44, 1196),
}


@pytest.mark.parametrize("size", PUBLISHED_CROPS)
def test_kitti_crop(size):
    rows, columns = GARG.slices(*size)
    assert (rows.start, rows.stop, columns.start, columns.stop) == PUBLISHED_CROPS[size]


def test_open_crop():
    assert CITYSCAPES_CROP.slices(768, 2048) == (slice(256, 768), slice(192, 1856))


@pytest.mark.parametrize("key", PROTOCOLS)
def test_rows_hold_known_values(key):
    row = PROTOCOLS[key]
    assert row.dataset in DATASETS
    assert row.interpolation in INTERPOLATIONS
    assert row.median in MEDIANS
    assert row.resized in ("disparity", "depth")
    assert set(row.metrics) <= set(METRICS)
    assert PROTOCOLS[row.key] is row
    description = row.describe()
    assert all(isinstance(text, str) and text for text in description.values())
    assert row.title in description["protocol"]


def test_defaults_and_variants():
    assert benchmarks()[:3] == ("kitti_eigen", "kitti_eigen_benchmark", "kitti")
    assert {"nyuv2", "make3d", "cityscapes", "sequence"} < set(benchmarks())
    assert get_protocol("kitti_eigen") is PROTOCOLS["kitti_eigen/monodepth2"]
    assert get_protocol("nyuv2").key == "nyuv2/structdepth"
    assert get_protocol("make3d", "bdedepth").key == "make3d/bdedepth"
    assert get_protocol("sequence", "bdedepth").key == "sequence"
    with pytest.raises(
        MdtkError,
        match=r"EVAL\.PROTOCOLS names the protocol 'kiti', and .*: choose one of kitti_eigen, ",
    ):
        get_protocol("kiti")
    with pytest.raises(MdtkError, match=r"unknown protocol variant eigen; there are bdedepth, "):
        get_protocol("kitti_eigen", "eigen")


def test_range_is_strict_and_within_the_crop():
    protocol = get_protocol("kitti_eigen")
    depth = np.zeros((375, 1242), np.float32)
    depth[[200, 201, 202, 203], 100] = [1e-3, 1.0, 79.9, 80.0]
    depth[10, 100] = 5.0
    assert np.argwhere(protocol.valid(depth)).tolist() == [[201, 100], [202, 100]]
    improved = get_protocol("kitti_eigen_benchmark").valid(depth)
    assert improved.sum() == 5


def test_cap_by_key():
    protocol = get_protocol("kitti_eigen").with_range(1.0, 50.0)
    assert (protocol.depth_min, protocol.depth_max, protocol.clamp) == (1.0, 50.0, (1.0, 50.0))
    assert protocol.label == "kitti_eigen/monodepth2 (1 … 50 m)"
    assert "1 m < depth < 50 m" in protocol.describe()["valid_pixels"]
    assert get_protocol("kitti_eigen").with_range(0.0, 50.0).clamp == (1e-3, 50.0)
    assert get_protocol("kitti_eigen").with_range(0.0, 0.0) is get_protocol("kitti_eigen")
    near = get_protocol("kitti_eigen").with_range(3.0, 0.0)
    assert (near.depth_min, near.depth_max, near.clamp) == (3.0, 80.0, (3.0, 80.0))
    with pytest.raises(MdtkError, match=r"below EVAL\.MAX_DEPTH 2"):
        get_protocol("kitti_eigen").with_range(5.0, 2.0)


def test_frame_takes_the_whole_or_the_part_only():
    whole = np.arange(480 * 640, dtype=np.float32).reshape(480, 640)
    part = NYU_FRAME.cut(whole, "a")
    np.testing.assert_array_equal(part, whole[44:471, 40:601])
    np.testing.assert_array_equal(NYU_FRAME.cut(part, "a"), part)
    with pytest.raises(MdtkError, match=r"a: ground truth of 10x20 pixels; .* 640x480 or its part 561x427"):
        NYU_FRAME.cut(np.zeros((20, 10)), "a")


def test_description_of_an_unbounded_range():
    protocol = get_protocol("kitti_eigen_benchmark")
    assert math.isinf(protocol.depth_max)
    assert protocol.describe()["valid_pixels"] == "0 m < depth, no crop"


def test_a_row_of_ones_own():
    row = dataclasses.replace(get_protocol("kitti_eigen"), name="my_drives", variant="night", depth_max=60.0)
    try:
        assert register_protocol(row) is row
        assert get_protocol("my_drives") is get_protocol("my_drives/night") is row
        day = register_protocol(dataclasses.replace(row, variant="day"))
        assert (get_protocol("my_drives"), get_protocol("my_drives", "day")) == (row, day)
        assert benchmarks()[-1] == "my_drives"
        with pytest.raises(MdtkError, match=r"protocol 'my_drives/night' is registered by .* and by"):
            register_protocol(dataclasses.replace(row, depth_max=50.0))
    finally:
        for name in ("my_drives", "my_drives/night", "my_drives/day"):
            PROTOCOLS._entries.pop(name, None)
