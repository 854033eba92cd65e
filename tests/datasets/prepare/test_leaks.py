"""Leaks between published lists, known from the field: found from the lists alone."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from mdtk.datasets.prepare.leaks import frame_key, frames_seen, overlap, published_overlaps
from mdtk.datasets.readers.cityscapes import Cityscapes, CityscapesPrepared
from mdtk.datasets.readers.kitti import KittiOdom, KittiRaw
from mdtk.datasets.readers.nyuv2 import LABELED, NYUv2
from mdtk.datasets.splits import load_split


def reader(kind, name, root):
    return kind(root, load_split(name).lines)


def test_eigen_training_drives_hold_odometry_09_and_10(tmp_path):
    train = reader(KittiRaw, "eigen_zhou/train", tmp_path)
    seen = frames_seen(train, [0, -1, 1, "s"])
    texts = published_overlaps(train, seen)
    assert [text.split(" of ", 1)[1].split(", the first")[0] for text in texts] == [
        "the 1590 frames of odom/test_09",
        "the 1200 frames of odom/test_10",
    ]
    assert all(text.startswith("training looks at 1") for text in texts)  # 1,590 and nearly 1,200 of them


def test_eigen_lists_share_no_frame(tmp_path):
    seen = frames_seen(reader(KittiRaw, "eigen_full/train", tmp_path), [0])
    assert overlap(seen, reader(KittiRaw, "eigen/test", tmp_path), "eigen/test") is None


def test_benchmark_training_holds_eigens_test(tmp_path):
    seen = frames_seen(reader(KittiRaw, "benchmark/train", tmp_path), [0, -1, 1])
    text = overlap(seen, reader(KittiRaw, "eigen/test", tmp_path), "eigen/test")
    assert text.startswith("training looks at ")
    assert 400 < int(text.split()[3]) < 697


def test_odometry_training_uses_a_recording_of_eigens_test(tmp_path):
    train = reader(KittiOdom, "odom/train", tmp_path)
    texts = published_overlaps(train, frames_seen(train, [0, -1, 1]))
    assert len(texts) == 1  # nothing of 09 and 10
    assert "of the 697 frames of eigen/test" in texts[0]


def test_keys_do_not_depend_on_camera_or_layout(tmp_path):
    raw = KittiRaw(tmp_path, ["2011_09_30/2011_09_30_drive_0028_sync 0000001105 r"])
    odometry = KittiOdom(tmp_path, ["8 5 l", "11 5 l"])
    assert frame_key(raw, 0) == frame_key(odometry, 0)
    assert frame_key(odometry, 1, 2) == ("odometry 11", 7)
    official = Cityscapes(tmp_path, ["ulm ulm_000001_000009"])
    assert frame_key(official, 0, 2) == frame_key(CityscapesPrepared(tmp_path, official.lines), 0, 1)


@pytest.mark.parametrize("scene", ["office_0001b", "kitchen_0001"])
def test_nyu_scenes_of_test_images(tmp_path, scene):
    with h5py.File(tmp_path / LABELED, "w") as file:
        file["name"] = np.array([[ord(letter)] for letter in "office_0001"], np.uint16)
        names = file.create_dataset("scenes", (1, 1449), dtype=h5py.ref_dtype)
        names[0, :] = file["name"].ref
    train = NYUv2(tmp_path, [" ".join([f"nyu_depth_v2/{scene}/r-1.0-2.ppm"] * 9)])
    shared = published_overlaps(train, set())
    expected = ["training uses 1 scenes of the official test images, the first office_0001b"]
    assert shared == (expected if scene == "office_0001b" else [])


def test_other_datasets_are_compared_by_file(tmp_path):
    line = " ".join(f"nyu_depth_v2/office/r-{k}.0-2.ppm" for k in range(9))
    train = NYUv2(tmp_path, [line])
    seen = frames_seen(train, [0, -1])
    assert "1 of the 1 frames of val" in overlap(seen, train, "val")
    assert overlap(seen, NYUv2(tmp_path, [line.replace("office", "study")]), "val") is None
