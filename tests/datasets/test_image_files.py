"""Grey PNGs that hold numbers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.datasets.image_files import read_grey_png


def test_stored_values(tmp_path):
    stored = np.array([[0, 1, 256], [300, 40000, 65535]], np.uint16)
    Image.fromarray(stored).save(tmp_path / "a.png")
    values = read_grey_png(tmp_path / "a.png", "depth", "make it")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, stored)


def test_eight_bits_only_where_the_caller_takes_them(tmp_path):
    stored = np.array([[0, 255]], np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_grey_png(tmp_path / "a.png", "depth", "make it", eight_bits=True), stored)
    with pytest.raises(MdtkError, match=r"a\.png: is a L image, but the depth is a 16-bit grey PNG"):
        read_grey_png(tmp_path / "a.png", "depth", "make it")


@pytest.mark.parametrize("mode", ["RGB", "P", "1", "LA"])
def test_other_images_are_refused(tmp_path, mode):
    Image.new(mode, (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(MdtkError, match=rf"a\.png: is a {mode} image, but the depth is an 8- or 16-bit grey PNG"):
        read_grey_png(tmp_path / "a.png", "depth", "make it", eight_bits=True)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(MdtkError, match=r"depth not found: .*a\.png; make it"):
        read_grey_png(tmp_path / "a.png", "depth", "make it")
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(MdtkError, match=r"depth cannot be read: .*a\.png"):
        read_grey_png(tmp_path / "a.png", "depth", "make it")
