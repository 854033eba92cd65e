"""Checks before a training: each kind of fault on a small KITTI tree, through the tool as a user runs it."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image

from mdtk.datasets.prepare.check_list import check_ground_truth, check_list
from mdtk.datasets.readers.kitti import KittiRaw
from mdtk.datasets.readers.make3d import Make3D
from mdtk.datasets.readers.nyuv2 import NYUv2

PROJECT = Path(__file__).resolve().parents[3]
DRIVE = "2011_09_26/2011_09_26_drive_0901_sync"
LINES = [f"{DRIVE} {frame} l" for frame in range(1, 5)]
SIZE = (40, 24)


def image_path(root, frame, camera=2):
    return root / DRIVE / f"image_0{camera}" / "data" / f"{frame:010d}.png"


@pytest.fixture(scope="module")
def clean_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean")
    rng = np.random.default_rng(0)
    for camera in (2, 3):
        image_path(root, 0, camera).parent.mkdir(parents=True)
        for frame in range(6):
            pixels = rng.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(image_path(root, frame, camera))
    (root / "2011_09_26" / "calib_cam_to_cam.txt").write_text(
        "R_rect_00: 1 0 0 0 1 0 0 0 1\n"
        f"S_rect_02: {SIZE[0]} {SIZE[1]}\nS_rect_03: {SIZE[0]} {SIZE[1]}\n"
        "P_rect_02: 30 0 19 1.5 0 30 11 0 0 0 1 0\nP_rect_03: 30 0 18 -13.5 0 30 11 0 0 0 1 0\n"
    )
    (root / "2011_09_26" / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")
    scans = root / DRIVE / "velodyne_points" / "data"
    scans.mkdir(parents=True)
    np.array([[15, 0, 0, 0.5]], np.float32).tofile(scans / f"{5:010d}.bin")
    for name, lines in (("eigen_zhou/train", LINES), ("eigen_zhou/val", LINES[:1]), ("eigen/test", [f"{DRIVE} 5 l"])):
        path = root / "splits" / f"{name}_files.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
    (root / "splits" / "static_frames.txt").write_text("")
    return root


@pytest.fixture
def root(clean_root, tmp_path):
    return Path(shutil.copytree(clean_root, tmp_path / "kitti"))


def found(checked):
    return [(finding.what, finding.fatal) for finding in checked.findings]


def test_nothing_wrong(root):
    checked = check_list(KittiRaw(root, LINES, "calibrated"), [0, -1, 1, "s"], "train")
    assert checked.findings == []
    assert (checked.entries, checked.files) == (4, 6 + 4)
    assert checked.summary() == "train: 4 entries, 10 files: nothing wrong"


def test_missing_and_unreadable_files_are_listed_once_each(root):
    image_path(root, 2).unlink()
    image_path(root, 3).write_bytes(image_path(root, 3).read_bytes()[:200])
    checked = check_list(KittiRaw(root, LINES), [0, -1, 1], "train")
    assert [finding.what for finding in checked.findings] == ["missing", "unreadable"]
    assert str(image_path(root, 2)) in checked.findings[0].text
    assert str(image_path(root, 3)) in checked.findings[1].text
    quick = check_list(KittiRaw(root, LINES), [0, -1, 1], "train", quick=True)
    assert found(quick) == [("missing", True)]


def test_calibration_that_does_not_fit(root):
    Image.new("RGB", (20, 12)).save(image_path(root, 2))
    checked = check_list(KittiRaw(root, LINES, "calibrated"), [0, -1, 1], "train")
    assert ("sizes differ", False) in found(checked)
    texts = [finding.text for finding in checked.findings if finding.what == "calibration"]
    assert len(texts) == 1
    assert "calibrated for 40x24 pixels, the image has 20x12" in texts[0]
    (root / "2011_09_26" / "calib_cam_to_cam.txt").unlink()
    checked = check_list(KittiRaw(root, LINES[2:], "calibrated"), [0, -1, 1], "train")
    assert ("calibration", True) in found(checked)
    checked = check_list(KittiRaw(root, LINES[2:], "calibrated"), [0], "test")
    assert found(checked) == [("calibration", False)]  # evaluation does not read K


def test_demands_of_the_reader(tmp_path):
    (tmp_path / "Test134").mkdir()
    Image.new("RGB", (460, 345)).save(tmp_path / "Test134" / "img-a.jpg")
    checked = check_list(Make3D(tmp_path, ["a"]), [0], "test")
    assert found(checked) == [("unreadable", True)]
    assert "is 460x345 pixels" in checked.findings[0].text


def test_bad_lines_empty_lists_and_static_frames(root):
    checked = check_list(KittiRaw(root, [*LINES, "nonsense"]), [0], "train")
    assert found(checked) == [("list", True)]
    assert "line 5: cannot read 'nonsense'" in checked.findings[0].text
    assert found(check_list(KittiRaw(root, []), [0], "train")) == [("list", True)]
    date, drive = DRIVE.split("/")
    (root / "splits" / "static_frames.txt").write_text(f"{date} {drive} 0000000002\n")
    checked = check_list(KittiRaw(root, LINES), [0, 0], "train")
    assert found(checked) == [("static", False)]
    assert "1 of 4 entries stand still, the first 2011_09_26" in checked.findings[0].text
    assert not found(check_list(KittiRaw(root, LINES), [0], "an evaluation")), "which measures still frames too"


def test_ground_truth(root):
    reader = KittiRaw(root, [f"{DRIVE} 5 l", f"{DRIVE} 4 l", f"{DRIVE} 3 l"])
    np.array([[-15, 0, 0, 0.5]], np.float32).tofile(reader.velodyne_path(2))
    checked = check_list(reader, [0], "test")
    check_ground_truth(reader, "velodyne", checked)
    assert found(checked) == [("ground truth", True), ("ground truth", False)]
    assert "laser scan not found" in checked.findings[0].text
    assert checked.findings[1].text == f"{DRIVE} 3 l has no known pixel"


def test_files_that_are_no_images(tmp_path):
    (tmp_path / "nyu_test").mkdir()
    with h5py.File(tmp_path / "nyu_test" / "00001.h5", "w") as file:
        file["rgb"] = np.zeros((3, 480, 640), np.uint8)
    (tmp_path / "nyu_test" / "00002.h5").write_bytes(b"\x89HDF")
    checked = check_list(NYUv2(tmp_path, [f"nyu_test/{k:05d}.h5" for k in (1, 2, 3)]), [0], "test")
    assert [finding.what for finding in checked.findings] == ["unreadable", "missing"]
    assert "00002.h5 (OSError" in checked.findings[0].text


@pytest.fixture
def check(root, tmp_path, monkeypatch, capsys):
    def run(*overrides):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(yaml.safe_dump({"ROOTS": {"KITTI_RAW": str(root)}, "EVAL": {"PROTOCOLS": ["kitti_eigen"]}}))
        monkeypatch.setattr(sys, "argv", ["check_data.py", "--config", str(recipe), *overrides])
        status = runpy.run_path(str(PROJECT / "tools" / "check_data.py"))["main"]()
        return status, capsys.readouterr().out

    return run


def test_tool(check, root):
    code, out = check("DATA.STEREO", "true", "DATA.INTRINSICS", "calibrated")
    assert code == 0, out
    assert "note: overlap: training looks at 1 of the 1 frames of eigen/test, the first" in out  # frame 5, as a source
    assert "note: overlap: training looks at 1 of the 1 frames of the validation list eigen_zhou/val" in out
    assert out.endswith("training can start\n")
    image_path(root, 4, 3).unlink()
    code, out = check("DATA.STEREO", "true")
    assert code == 1
    assert f"missing: {image_path(root, 4, 3)}\n" in out
    assert "training would fail: 1 problem" in out
    assert check("DATA.STEREO", "false")[0] == 0
    code, out = check("DATA.TRAIN_SPLIT", "eigen_zhou/nowhere")
    assert code == 1
    assert "data: split eigen_zhou/nowhere not found" in out
    code, out = check("ROOTS.KITTI_RAW", str(root / "nowhere"))
    assert code == 1
    assert "data: data root of kitti_raw not found" in out
