"""Predictions of other programs: stacked and single files, disparity and depth, wider lists, wrong input."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.evaluation.io.external import canonical, file_stem, load_external
from mdtk.evaluation.scoring.protocols import get_protocol

WIDE = [f"2011_09_26/2011_09_26_drive_0002_sync {i:010d} l" for i in range(7)]
NARROW = [f"2011_09_26/2011_09_26_drive_0002_sync {i} l" for i in (0, 2, 3, 6)]
STACK = np.random.default_rng(0).uniform(0.1, 1, (7, 4, 6)).astype(np.float32)


class Listed:
    """The names and the root of a dataset; nothing else is read here."""

    def __init__(self, root, lines):
        self.root, self.lines = root, lines

    def __len__(self):
        return len(self.lines)

    def name(self, index):
        return self.lines[index]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "splits" / "eigen").mkdir(parents=True)
    (tmp_path / "splits" / "eigen" / "test_files.txt").write_text("\n".join(WIDE))
    return tmp_path


def saved(path, array):
    np.save(path, array)
    return path


def test_rows_in_list_order(root):
    reader = Listed(root, WIDE)
    for stack in (STACK, STACK[:, None], STACK.astype(np.float64)):
        found = load_external(saved(root / "p.npy", stack), "disparity", get_protocol("kitti_eigen"), reader)
        assert len(found) == 7
        np.testing.assert_array_equal(found[WIDE[5]], STACK[5])
        assert found[WIDE[5]].dtype == np.float32
    depth = load_external(root / "p.npy", "depth", get_protocol("kitti_eigen"), reader)
    np.testing.assert_array_equal(depth[WIDE[5]], STACK[5])  # `gives` of the predictor says what it is


def test_wider_list_is_joined_by_name(root):
    path = saved(root / "p.npy", STACK)
    found = load_external(path, "disparity", get_protocol("kitti_eigen_benchmark"), Listed(root, NARROW))
    for name, row in zip(NARROW, (0, 2, 3, 6), strict=True):
        np.testing.assert_array_equal(found[name], STACK[row])
    exact = load_external(
        saved(root / "q.npy", STACK[:4]), "disparity", get_protocol("kitti_eigen_benchmark"), Listed(root, NARROW)
    )
    np.testing.assert_array_equal(exact[NARROW[3]], STACK[3])


def test_wrong_number_of_rows(root):
    path = saved(root / "p.npy", STACK[:5])
    with pytest.raises(MdtkError, match=r"p\.npy: holds 5 predictions; kitti_eigen/monodepth2 takes 7 \(eigen/test\)"):
        load_external(path, "disparity", get_protocol("kitti_eigen"), Listed(root, WIDE))
    with pytest.raises(MdtkError, match=r"takes 4 \(eigen_benchmark/test\) or 7 \(eigen/test\), in the order"):
        load_external(path, "disparity", get_protocol("kitti_eigen_benchmark"), Listed(root, NARROW))


def test_name_that_the_wider_list_lacks(root):
    reader = Listed(root, [*NARROW[:3], "2011_09_28/2011_09_28_drive_0001_sync 4 l"])
    with pytest.raises(MdtkError, match=r"2011_09_28_drive_0001_sync 4 l of eigen_benchmark/test is not in the list"):
        load_external(saved(root / "p.npy", STACK), "disparity", get_protocol("kitti_eigen_benchmark"), reader)


def test_folder_by_name_by_place_and_stacked(root):
    reader, protocol = Listed(root, NARROW), get_protocol("kitti_eigen")
    folder = root / "folder"
    folder.mkdir()
    saved(folder / f"{file_stem(NARROW[0])}.npy", STACK[0])
    saved(folder / "0000000001.npy", STACK[1][None])
    Image.fromarray(np.round(STACK[2] * 256).astype(np.uint16)).save(folder / f"{file_stem(NARROW[2])}.png")
    with pytest.raises(MdtkError, match=r"folder: 1 of 4 predictions for kitti_eigen/\w+ are missing, .*sync_6_l"):
        load_external(folder, "disparity", protocol, reader)
    saved(folder / "0000000003.npy", STACK[3])
    found = load_external(folder, "disparity", protocol, reader)
    for index in (0, 1, 3):
        np.testing.assert_array_equal(found[NARROW[index]], STACK[index])
    np.testing.assert_allclose(found[NARROW[2]], STACK[2], atol=0.5 / 256)
    saved(folder / "kitti_eigen_monodepth2.npy", STACK[:4] + 1)
    np.testing.assert_array_equal(load_external(folder, "disparity", protocol, reader)[NARROW[0]], STACK[0] + 1)


def test_bad_files(root):
    reader, protocol = Listed(root, WIDE), get_protocol("kitti_eigen")
    with pytest.raises(MdtkError, match=r"predictions not found: .*none\.npy"):
        load_external(root / "none.npy", "disparity", protocol, reader)
    with pytest.raises(MdtkError, match=r"predictions are disparity, depth, .* or affine_depth, not metres"):
        load_external(root / "none.npy", "metres", protocol, reader)
    with pytest.raises(MdtkError, match=r"has shape \(7, 6\); predictions are N x height x width"):
        load_external(saved(root / "p.npy", STACK[:, 0]), "disparity", protocol, reader)
    ragged = np.empty(7, object)
    ragged[:] = list(STACK)
    with pytest.raises(MdtkError, match=r"p\.npy: not a plain \.npy array"):
        load_external(saved(root / "p.npy", ragged), "disparity", protocol, reader)
    (root / "p.npy").write_bytes((saved(root / "q.npy", STACK)).read_bytes()[:300])
    with pytest.raises(MdtkError, match=r"p\.npy: not a plain \.npy array"):
        load_external(root / "p.npy", "disparity", protocol, reader)
    holed = STACK.copy()
    holed[3, 0, 0] = 0
    found = load_external(saved(root / "p.npy", holed), "depth", protocol, reader)
    assert found[WIDE[2]].shape == (4, 6)
    with pytest.raises(MdtkError, match=r"p\.npy, row 3: must be a map of finite, positive depth.* its minimum is 0"):
        found[WIDE[3]]


def test_colour_png_is_refused(root):
    folder = root / "folder"
    folder.mkdir()
    Image.new("RGB", (6, 4), (9, 9, 9)).save(folder / "0000000000.png")
    found = load_external(folder, "disparity", get_protocol("kitti_eigen"), Listed(root, WIDE[:1]))
    with pytest.raises(MdtkError, match=r"0000000000\.png: is a RGB image, but the prediction is a 16-bit grey PNG"):
        found[WIDE[0]]


def test_names():
    assert canonical(WIDE[3]) == canonical(NARROW[2])
    assert canonical("img-10.21op2-p-015t000") == "img-10.21op2-p-015t000"
    assert file_stem("a/b 03 l") == "a_b_03_l"
    assert dataclasses.replace(get_protocol("kitti_eigen_benchmark")).wider_split == "eigen/test"
