"""The KITTI depth benchmark's PNGs: size, unit, truncation, numbering."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.evaluation.io.submission import export, submission_png
from mdtk.evaluation.scoring.protocols import KITTI_BENCHMARK


def test_unit_and_truncation():
    stored = submission_png(KITTI_BENCHMARK, np.full((8, 16), 0.54, np.float32))
    assert (stored.shape, stored.dtype) == ((352, 1216), np.uint16)
    assert np.unique(stored).tolist() == [int(np.float32(5.4) / np.float32(0.54) * 256)]
    assert (
        submission_png(KITTI_BENCHMARK, np.full((8, 16), 5.4 / 7.999, np.float32)).max() == 2047
    )  # 7.999 m is not rounded up


def test_range():
    assert submission_png(KITTI_BENCHMARK, np.full((8, 16), 0.01, np.float32)).max() == 80 * 256


def test_files_are_numbered_by_the_list(tmp_path):
    predictions = {f"image {i}": np.full((4, 8), 0.1 * (i + 1), np.float32) for i in range(3)}
    export(KITTI_BENCHMARK, predictions, ["image 2", "image 0"], [2, 0], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000000000.png", "0000000002.png"]
    with Image.open(tmp_path / "0000000002.png") as image:
        assert image.size == (1216, 352)
        np.testing.assert_array_equal(np.asarray(image), submission_png(KITTI_BENCHMARK, predictions["image 2"]))
    with pytest.raises(MdtkError, match="image 9: the prediction holds values that are not finite"):
        export(KITTI_BENCHMARK, {"image 9": np.zeros((4, 8))}, ["image 9"], [9], tmp_path)
