"""Published ground truth is a pickle: arrays come out, everything else is refused."""

from __future__ import annotations

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from mdtk.data.ground_truth import read_gt_depths
from mdtk.data.safe_pickle import load_arrays
from mdtk.errors import MdtkError


def object_array(arrays):
    stored = np.empty(len(arrays), object)
    stored[:] = arrays
    return stored


DEPTHS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(12.0).reshape(4, 3))]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_of_every_protocol(protocol):
    loaded = load_arrays(io.BytesIO(pickle.dumps(object_array(DEPTHS), protocol=protocol)), "x")
    for got, expected in zip(loaded, DEPTHS, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_old_numpys_module_name_and_big_endian():
    data = pickle.dumps(object_array([np.array([[1.5, 2]], ">f4")]), protocol=2)
    old = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    np.testing.assert_array_equal(load_arrays(io.BytesIO(old), "x")[0], [[1.5, 2]])


def test_published_npz(tmp_path):
    path = tmp_path / "gt_depths.npz"
    np.savez_compressed(path, data=object_array(DEPTHS))
    loaded = read_gt_depths(path)
    assert [depth.shape for depth in loaded] == [(2, 3), (4, 3)]
    assert all(depth.dtype == np.float32 for depth in loaded)
    np.testing.assert_array_equal(loaded[1], DEPTHS[1])


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path):
    trap = tmp_path / "trap"
    path = tmp_path / "gt_depths.npz"
    np.savez(path, data=object_array([DEPTHS[0], Evil(trap)]))
    with pytest.raises(MdtkError, match=r"gt_depths\.npz: refused, the pickle holds the name posix\.mkdir"):
        read_gt_depths(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (object_array([DEPTHS[0], "text"]), "an element that is no array"),
        (object_array([object_array(DEPTHS)]), "an array without its bytes"),
        (object_array([np.array(["a"])]), "elements of type 'U1'"),
        (object_array([np.zeros(2, [("a", "f4")])]), "a structured element type"),
        ([1, 2], "a list instead of an array"),
        (np.zeros(3), "no array of arrays"),
    ],
)
def test_other_contents_are_refused(stored, message):
    with pytest.raises(MdtkError, match=message):
        load_arrays(io.BytesIO(pickle.dumps(stored, protocol=3)), "x")


def test_object_elements_cannot_pass_as_numbers():
    # an object type whose bytes would be read as pointers: only the bytes of real numbers are ever interpreted
    good = pickle.dumps(object_array([np.zeros(1, np.float64)]), protocol=3)
    with pytest.raises(MdtkError, match="refused"):
        load_arrays(io.BytesIO(good.replace(b"f8", b"O8")), "x")


@pytest.mark.parametrize("length", [0, 20, 150, 300])
def test_truncated_pickle(length):
    data = pickle.dumps(object_array(DEPTHS), protocol=3)
    with pytest.raises(MdtkError, match="x: "):
        load_arrays(io.BytesIO(data[:length]), "x")


def test_bytes_that_do_not_fill_the_shape():
    data = pickle.dumps(object_array([np.zeros((2, 3), np.float32)]), protocol=3)
    assert data.count(b"K\x02K\x03") == 1  # the shape (2, 3)
    with pytest.raises(MdtkError, match="cannot be read"):
        load_arrays(io.BytesIO(data.replace(b"K\x02K\x03", struct.pack("4B", 75, 200, 75, 200))), "x")
