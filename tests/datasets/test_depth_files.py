"""Ground-truth files: what is written is read again, by name or by place."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.datasets.depth_files import depths_by_name, export_depths, read_gt_depths, write_depths

PROJECT = Path(__file__).resolve().parents[2]
NAMES = ["2011_09_26/2011_09_26_drive_0002_sync 0000000069 l", "2011_09_26/2011_09_26_drive_0002_sync 0000000054 l"]
DEPTHS = {NAMES[0]: np.full((3, 4), 2.5, np.float32), NAMES[1]: np.eye(5, dtype=np.float32)}


def test_own_form_keeps_names_and_order_and_has_no_pickle(tmp_path):
    path = tmp_path / "gt.npz"
    assert write_depths(path, DEPTHS.items()) == 2
    loaded = read_gt_depths(path)
    assert list(loaded) == NAMES
    assert len(loaded) == 2
    for name, depth in DEPTHS.items():
        np.testing.assert_array_equal(loaded[name], depth)
    with np.load(path, allow_pickle=False) as file:
        assert file.files == NAMES
        assert file[NAMES[1]].dtype == np.float32
    with pytest.raises(KeyError):
        loaded["another"]


def test_a_name_twice_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(MdtkError, match="names 'a' twice"):
        write_depths(tmp_path / "gt.npz", [("a", np.ones((1, 1))), ("a", np.ones((1, 1)))])
    assert list(tmp_path.iterdir()) == []


def test_published_forms_by_name(tmp_path):
    np.savez(tmp_path / "equal.npz", data=np.stack([np.ones((2, 2)), np.full((2, 2), 3.0)]))
    by_name = depths_by_name(tmp_path / "equal.npz", ["b", "a"])
    assert by_name["a"][0, 0] == 3
    with pytest.raises(MdtkError, match="has 2 depth maps, the list has 3 images"):
        depths_by_name(tmp_path / "equal.npz", ["b", "a", "c"])


def test_numbered_folder(tmp_path):
    calls = []

    def depth_of(index):
        calls.append(index)
        return np.full((2, 2), index, np.float64)

    folder = tmp_path / "gt_depths"
    assert export_depths(["a", "b"], depth_of, folder) == f"{folder}: 2 depth maps written, 0 were there"
    assert export_depths(["a", "b", "c"], depth_of, folder) == f"{folder}: 1 depth maps written, 2 were there"
    assert calls == [0, 1, 2]
    assert sorted(path.name for path in folder.iterdir()) == ["000_depth.npy", "001_depth.npy", "002_depth.npy"]
    loaded = read_gt_depths(folder)
    assert [depth[0, 0] for depth in loaded] == [0, 1, 2]
    assert loaded[0].dtype == np.float32


def _ramp(index: int) -> np.ndarray:
    if index > 90:
        raise MdtkError(f"laser scan not found: {index}.bin; extract it")
    return np.full((2, 3), index, np.float32)


def test_processes_write_the_same_file(tmp_path):
    names = [f"{index}" for index in range(9)]
    for jobs in (1, 2):
        export_depths(names, _ramp, tmp_path / f"{jobs}.npz", jobs=jobs)
        export_depths(names, _ramp, tmp_path / f"{jobs}", jobs=jobs)
    one, two = (read_gt_depths(tmp_path / f"{jobs}.npz") for jobs in (1, 2))
    assert all(np.array_equal(one[name], two[name]) and one[name][0, 0] == int(name) for name in names)
    for path in sorted((tmp_path / "1").iterdir()):
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()
    with pytest.raises(MdtkError, match=r"laser scan not found: 91\.bin"):
        export_depths([f"{index}" for index in range(95)], _ramp, tmp_path / "torn.npz", jobs=2)
    assert not (tmp_path / "torn.npz").exists()


def test_errors(tmp_path):
    with pytest.raises(MdtkError, match=r"ground truth not found: .*none\.npz; make it with"):
        read_gt_depths(tmp_path / "none.npz")
    with pytest.raises(MdtkError, match=r"has no 000_depth\.npy"):
        read_gt_depths(tmp_path)
    path = tmp_path / "gt.npz"
    write_depths(path, DEPTHS.items())
    with pytest.raises(MdtkError, match=r"has no depth of 'c' \(1 of 2 missing\)"):
        depths_by_name(path, [NAMES[0], "c"])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MdtkError, match=r"ground truth cannot be read: .*gt\.npz"):
        read_gt_depths(path)
    np.savez(path, data=np.ones((2, 3)))
    with pytest.raises(MdtkError, match="expected one depth map"):
        read_gt_depths(path)
    with pytest.raises(MdtkError, match=r"takes a file \.npz, or a folder"):
        export_depths(NAMES, DEPTHS.get, tmp_path / "gt.h5")


@pytest.fixture
def run_tool(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["export_gt_depth.py", *map(str, arguments)])
        runpy.run_path(str(PROJECT / "tools" / "export_gt_depth.py"))["main"]()

    return run


def test_tool_projects_the_laser_and_rewrites_published_files(tmp_path, run_tool, capsys):
    day, drive = tmp_path / "2011_09_26", tmp_path / "2011_09_26" / "2011_09_26_drive_0002_sync"
    (drive / "velodyne_points" / "data").mkdir(parents=True)
    np.array([[15, 0, 0, 0.5]], np.float32).tofile(drive / "velodyne_points" / "data" / f"{69:010d}.bin")
    (day / "calib_cam_to_cam.txt").write_text(
        "R_rect_00: 1 0 0 0 1 0 0 0 1\nS_rect_02: 40 24\n"
        "P_rect_02: 30 0 19 0 0 30 11 0 0 0 1 0\nP_rect_03: 30 0 19 0 0 30 11 0 0 0 1 0\n"
    )
    (day / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")
    (tmp_path / "splits" / "eigen").mkdir(parents=True)
    (tmp_path / "splits" / "eigen" / "test_files.txt").write_text(f"{NAMES[0]}\n")
    output = tmp_path / "gt.npz"
    run_tool("--data_path", tmp_path, "--split", "eigen", "--output", output)
    assert "1 depth maps written" in capsys.readouterr().out
    assert read_gt_depths(output)[NAMES[0]][10, 18] == 15

    published = np.empty(1, object)
    published[0] = np.full((2, 2), 7, np.float32)
    np.savez(tmp_path / "published.npz", data=published)
    run_tool("--data_path", tmp_path, "--input", tmp_path / "published.npz", "--output", output)
    assert read_gt_depths(output)[NAMES[0]][0, 0] == 7

    (tmp_path / "splits" / "eigen_benchmark").mkdir()
    (tmp_path / "splits" / "eigen_benchmark" / "test_files.txt").write_text(f"{NAMES[0]}\n")
    with pytest.raises(MdtkError, match=r"ground truth not found: .*proj_depth/groundtruth/image_02/0000000069\.png"):
        run_tool("--data_path", tmp_path, "--split", "eigen_benchmark", "--output", output)
    with pytest.raises(MdtkError, match="cityscapes has no --split eigen"):
        run_tool("--dataset", "cityscapes", "--split", "eigen", "--output", output)
