"""Make3D: crops of image and laser grid, and files of another kind."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mdtk.core.errors import MdtkError
from mdtk.datasets.readers.make3d import Make3D

NAME = "op1-p-077t000"


@pytest.fixture
def root(tmp_path):
    for folder in ("Test134", "Gridlaserdata"):
        (tmp_path / folder).mkdir()
    pixels = np.zeros((2272, 1704, 3), np.uint8)
    pixels[710:1562] = (np.arange(852) // 4)[:, None, None]
    Image.fromarray(pixels).save(tmp_path / "Test134" / f"img-{NAME}.jpg", quality=95)
    grid = np.zeros((55, 305, 4))
    grid[..., 3] = np.arange(55)[:, None] + np.arange(305) / 1000
    savemat(tmp_path / "Gridlaserdata" / f"depth_sph_corr-{NAME}.mat", {"Position3DGrid": grid})
    return tmp_path


def test_image_grid_and_intrinsics(root):
    reader = Make3D(root, [NAME])
    image = reader.images(0, [0])[0]
    assert image.size == (1704, 852)
    rows = np.asarray(image)[:, 800, 0].astype(int)
    np.testing.assert_allclose(rows, np.arange(852) // 4, atol=2)
    depth = reader.ground_truth(0)
    assert depth.shape == (21, 305)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth[[0, -1], 0], [17, 37])
    assert depth[3, 200] == np.float32(20.2)
    K = reader.intrinsics(0, image.size)
    assert K[0, 0] == pytest.approx(K[1, 1], rel=0.01)  # square pixels
    np.testing.assert_allclose(K[:2, 2], [851.5, 425.5])
    assert reader.name(0) == NAME


def test_bad_files_are_one_sentence(root):
    reader = Make3D(root, [NAME, "missing"])
    grid = root / "Gridlaserdata" / f"depth_sph_corr-{NAME}.mat"
    with pytest.raises(MdtkError, match=r"image not found: .*img-missing\.jpg"):
        reader.images(1, [0])
    with pytest.raises(MdtkError, match=r"laser grid not found: .*depth_sph_corr-missing\.mat"):
        reader.ground_truth(1)
    savemat(grid, {"depthMap": np.zeros((2, 2))})
    with pytest.raises(MdtkError, match=r"is a \.mat of another kind, it has no Position3DGrid"):
        reader.ground_truth(0)
    savemat(grid, {"Position3DGrid": np.zeros((55, 305))})
    with pytest.raises(MdtkError, match=r"Position3DGrid is \(55, 305\)"):
        reader.ground_truth(0)
    with h5py.File(grid, "w") as file:
        file["depths"] = np.zeros(3)
    with pytest.raises(MdtkError, match="laser grid cannot be read"):
        reader.ground_truth(0)
    for content in (b"", b"no .mat at all", b"\0" * 300):
        grid.write_bytes(content)
        with pytest.raises(MdtkError, match="laser grid cannot be read"):
            reader.ground_truth(0)


@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_mat(root, compressed):
    grid = root / "Gridlaserdata" / f"depth_sph_corr-{NAME}.mat"
    savemat(grid, {"Position3DGrid": np.random.default_rng(0).random((55, 305, 4))}, do_compression=compressed)
    data = grid.read_bytes()
    for length in (100, 130, 1000, len(data) - 8):
        grid.write_bytes(data[:length])
        with pytest.raises(MdtkError, match="laser grid cannot be read"):
            Make3D(root, [NAME]).ground_truth(0)


def test_wrong_size_and_neighbours(root):
    path = root / "Test134" / f"img-{NAME}.jpg"
    reader = Make3D(root, [NAME])
    with pytest.raises(MdtkError, match="single images, no neighbours"):
        reader.images(0, [0, 1])
    with pytest.raises(MdtkError, match="K belongs to 1704x852 pixels"):
        reader.intrinsics(0, (1704, 2272))
    Image.new("RGB", (460, 345)).save(path)
    with pytest.raises(MdtkError, match="is 460x345 pixels; Make3D's test images are 1704x2272"):
        reader.images(0, [0])


def test_image_that_ends_early_counts_with_a_warning(root):
    path = root / "Test134" / f"img-{NAME}.jpg"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.warns(UserWarning, match=r"img-op1-p-077t000\.jpg ends early"):
        image = Make3D(root, [NAME]).images(0, [0])[0]
    assert image.size == (1704, 852)
    path.write_bytes(b"no image")
    with pytest.raises(MdtkError, match="image cannot be read"):
        Make3D(root, [NAME]).images(0, [0])
