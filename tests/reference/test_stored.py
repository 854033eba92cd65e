"""The thinned vectors: small, packed without loss, and where the full ones are at hand, a part of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.reference.conftest import THINNED
from tests.reference.stored import Reference, Stored
from tests.reference.thin_vectors import Thinned, sampled, write_json


def test_size():
    assert sum(path.stat().st_size for path in THINNED.iterdir()) < 3e6


def packed(tmp_path, maker, arrays) -> Stored:
    """Arrays, thinned, written and read again."""
    out: Thinned = maker(arrays)
    out.write(tmp_path)
    with np.load(tmp_path / f"{out.file}.npz") as file:
        assert set(file.files) == set(out.raw)
    write_json(tmp_path / "thinned.json.gz", {out.file: out.how})
    return Reference(tmp_path).npz(out.file)


@pytest.mark.parametrize("stride", [1, 4])
def test_packing_loses_nothing(tmp_path, stride):
    generator = np.random.default_rng(0)
    arrays = {
        "noise": generator.standard_normal((3, 7, 11)).astype(np.float32),
        "grey": (generator.integers(0, 256, (2, 3, 8, 8)) / 255).astype(np.float32),
        "half": generator.random((12, 12)).astype(np.float16).astype(np.float32),
        "double": generator.random((12, 12)),
        "one": np.float32(0.3),
        "levels": generator.integers(0, 256, (5, 60)).astype(np.uint8),
    }
    stored = packed(tmp_path, sampled("some", stride), arrays)
    assert stored.keys() == arrays.keys()
    for name, array in arrays.items():
        assert stored[name].dtype == np.asarray(array).dtype
        assert_array_equal(stored[name], stored.at(name, np.asarray(array)))
    assert stored["noise"].size == -(-arrays["noise"].size // stride)


def test_smooth_maps_come_back_to_the_last_bit(tmp_path):
    generator = np.random.default_rng(0)
    image = np.add.outer(np.sin(np.linspace(0, 3, 80)), np.linspace(2, 9, 120)).astype(np.float32)
    image[generator.random(image.shape) < 0.1] = 0

    def maker(arrays):
        out = Thinned("some")
        out.add_smooth("map", arrays["map"], [-1.0, 0.0], inverse=False)
        return out

    assert_array_equal(packed(tmp_path, maker, {"map": image[None]})["map"], image[None])


FILES = ("losses", "bdedepth_losses", "monodepth2_networks", "bdedepth_networks", "geometry", "evaluation")


@pytest.mark.parametrize("file", FILES)
def test_same_as_the_full_vectors(reference, file):
    """All values are numbers; outputs are the published ones at the kept places, where those are at hand."""
    part, whole = Reference(THINNED).npz(file), reference.npz(file)
    assert all(np.isfinite(array).all() for array in part.values())
    if reference.thinned or reference.seed != Reference(THINNED).seed:
        return
    for name in part:
        if file != "evaluation":  # the first image of each data set, blanked where nothing depends on it
            assert_array_equal(part.at(name, whole[name]), part[name], err_msg=name)
