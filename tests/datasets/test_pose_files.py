"""Poses of a recording in KITTI's and TUM's form, joined with frames by order or by time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.datasets.pose_files import frame_poses, read_trajectory
from tests.helpers.tiny import open_sequence, write_clip


def trajectory(count, seed=0):
    generator = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(generator.normal(0, 0.5, (count, 3))).as_matrix()
    poses[:, :3, 3] = generator.normal(0, 5, (count, 3))
    return poses


def write_kitti(path, poses):
    np.savetxt(path, poses[:, :3].reshape(len(poses), 12))
    return path


def write_tum(path, poses, times):
    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    np.savetxt(path, np.c_[times, poses[:, :3, 3], quaternions], header="time tx ty tz qx qy qz qw")
    return path


def test_both_forms_say_the_same(tmp_path):
    poses = trajectory(5)
    times, kitti = read_trajectory(write_kitti(tmp_path / "kitti.txt", poses))
    assert times is None
    np.testing.assert_allclose(kitti, poses, atol=1e-12)
    times, tum = read_trajectory(write_tum(tmp_path / "tum.txt", poses, 1.3e9 + np.arange(5) / 30))
    np.testing.assert_allclose(tum, poses, atol=1e-12)
    np.testing.assert_allclose(times, 1.3e9 + np.arange(5) / 30)


def test_times_are_matched_with_file_names(tmp_path):
    poses = trajectory(40)
    path = write_tum(tmp_path / "tum.txt", poses, 100 + np.arange(40) / 20)
    found = frame_poses(path, ["100.012", "101.049", "150.0"])
    np.testing.assert_allclose(found[0], poses[0], atol=1e-12)
    np.testing.assert_allclose(found[1], poses[21], atol=1e-12)
    assert np.isnan(found[2]).all()
    with pytest.raises(MdtkError, match=r"no pose is within 0\.02 s of a frame"):
        frame_poses(path, ["0001", "0002"])
    for names, form in ((["a", "b"], path), (["1", "2"], write_kitti(tmp_path / "kitti.txt", poses))):
        with pytest.raises(MdtkError, match="holds 40 poses for 2 frames; give one for each"):
            frame_poses(form, names)


def test_wrong_files_are_one_sentence(tmp_path):
    for text, message in (
        ("1 2 3\n4 5 6\n", "has 3 numbers in a line; give lines of 12"),
        ("2 0 0 0 0 2 0 0 0 0 2 0\n", "pose 1 is no rigid motion"),
        ("0 1 2 3 0 0 0 2\n", "pose 1 is no rigid motion"),
        ("1e9 1e9 2 3 0 0 0 1\n", "pose 1 is no rigid motion"),
        ("a b\n", "poses cannot be read"),
        ("nan 1 2 3 0 0 0 1\n", "finite numbers"),
    ):
        path = tmp_path / f"{abs(hash(text))}.txt"
        path.write_text(text)
        with pytest.raises(MdtkError, match=message):
            read_trajectory(path)
    with pytest.raises(MdtkError, match="poses not found"):
        read_trajectory(tmp_path / "none.txt")


def test_a_sequence_carries_them(tmp_path, tiny_recipe):

    folder, poses = write_clip(tmp_path / "clip", 6), trajectory(6)
    keys = ["DATA.SEQUENCE.PATHS", f"[{folder / 'color'}]", "DATA.SEQUENCE.DEPTH", f"[{folder / 'depth'}]"]
    node = load_config(tiny_recipe, keys).DATA
    with pytest.raises(MdtkError, match=r"color has no poses; name a file in DATA\.SEQUENCE\.POSES, or put poses\.txt"):
        open_sequence(node, "all").pose(0)
    write_kitti(folder / "color" / "poses.txt", poses)
    reader = open_sequence(node, "all", sources=(-1, 1))
    assert reader.entries[0] == (0, 1)
    np.testing.assert_allclose(reader.pose(0), poses[1], atol=1e-12)
    np.testing.assert_allclose(reader.pose(0, 1), poses[2], atol=1e-12)
    with pytest.raises(MdtkError, match="no pose of frame -1 of color"):
        reader.pose(0, -2)
    node = load_config(tiny_recipe, [*keys, "DATA.SEQUENCE.POSES", "[a, b]"]).DATA
    with pytest.raises(MdtkError, match=r"DATA\.SEQUENCE\.POSES names 2 files for 1 DATA\.SEQUENCE\.PATHS"):
        open_sequence(node, "all")
