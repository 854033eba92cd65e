"""What a training list holds of a test list: the published counts, and lists that travel with a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.datasets import compact_splits
from mdtk.datasets.prepare.check_recipe import build_checks
from mdtk.datasets.prepare.contamination import (
    BAD_LISTS,
    TrainList,
    contamination,
    content_sha256,
    known_bad,
    unpack,
)
from mdtk.datasets.readers.kitti import KittiRaw
from mdtk.datasets.splits import text_sha256


def published(name, dataset="kitti_raw", sources=(-1, 1)):
    lines = tuple(compact_splits.expand(name))
    return TrainList(dataset, name, text_sha256(lines), lines, sources)


@pytest.mark.parametrize(
    ("train", "test", "frames", "known"),
    [
        ("benchmark/train", "eigen/test", 451, True),
        ("benchmark/train", "eigen_benchmark/test", 451, True),
        ("eigen_zhou/train", "eigen/test", 0, False),
    ],
)
def test_published_lists(tmp_path, train, test, frames, known):
    reader = KittiRaw(tmp_path, list(compact_splits.expand(test)))
    found = contamination([published(train)], reader, range(len(reader)))
    assert found["test_frames"] == frames
    assert found["frames"] == len(reader)
    assert found["test_frames_seen"] >= frames
    assert (found["test_recordings"] == 0) == (frames == 0)
    assert f"holds {frames} of the {len(reader)} test frames" in found["text"]
    assert ("known list" in found["text"]) == known


def test_bad_lists_are_known_in_any_order_and_form():
    lines = list(compact_splits.expand("benchmark/train"))
    np.random.default_rng(0).shuffle(lines)
    padded = tuple(f"{folder} {int(frame):010d} {side}" for folder, frame, side in (line.split() for line in lines))
    assert "Monodepth2's benchmark/train" in known_bad("kitti_raw", padded)
    assert known_bad("kitti_raw", padded[1:]) == ""
    assert known_bad("kitti_raw", tuple(compact_splits.expand("eigen_zhou/train"))) == ""
    assert known_bad("nyuv2", padded) == ""
    tests = {
        (folder, int(frame)) for folder, frame, _ in (line.split() for line in compact_splits.expand("eigen/test"))
    }
    kept = tuple(line for line in lines if line[-1] == "r" or (line.split()[0], int(line.split()[1])) not in tests)
    # SlowTV's list, of as many lines and characters as the published file
    assert (len(kept), sum(len(line) + 1 for line in kept)) == (71_633, 3_172_008)
    found = known_bad("kitti_raw", kept)
    assert "Kick Back & Relax" in found
    assert "by its counts" not in found
    assert known_bad("kitti_raw", kept[1:]) == ""
    longer = known_bad("kitti_raw", (*kept, "2011_09_26/2011_09_26_drive_0096_sync 3 l"))
    assert "SfMNeXt" in longer
    assert "by its counts" in longer


def test_check_data_says_it_before_training(tmp_path, monkeypatch):
    lines = ["2011_09_26/2011_09_26_drive_0001_sync 5 l"]
    monkeypatch.setitem(BAD_LISTS, content_sha256(lines), "made for the server")
    known_bad.cache_clear()
    (tmp_path / "list.txt").write_text(lines[0] + "\n")
    (tmp_path / "raw").mkdir()
    keys = [
        "DATA.TRAIN_SPLIT",
        str(tmp_path / "list.txt"),
        "DATA.VAL_SPLIT",
        "",
        "ROOTS.KITTI_RAW",
        str(tmp_path / "raw"),
    ]
    (checked,) = build_checks(load_config(None, keys), [], True, lambda items, total: items)
    assert "known list: made for the server" in [str(one) for one in checked.findings]
    known_bad.cache_clear()


def test_what_is_not_known(tmp_path):
    reader = KittiRaw(tmp_path, list(compact_splits.expand("eigen/test"))[:3])
    assert contamination([], reader, [0, 1]) == {"text": "the training list is not known"}
    guess = TrainList("kitti_raw", "mine", "", tuple(reader.lines[:1]), assumed=True)
    assert "carries none, its configuration says this) holds 1 of the 2" in str(
        contamination([guess], reader, [0, 1])["text"]
    )
    other = contamination([TrainList("nyuv2", "nyuv2/train", "", ("a/b.png",))], reader, [0, 1])
    assert (other["test_frames"], other["test_recordings"], other["recordings"]) == (0, 0, 1)


def test_odometry_and_raw_are_the_same_drives(tmp_path):
    reader = KittiRaw(tmp_path, ["2011_09_30/2011_09_30_drive_0033_sync 20 l"])
    found = contamination([TrainList("kitti_odom", "mine", "", ("09 20 l",))], reader, [0])
    assert found["test_frames"] == 1


def test_lists_survive_a_checkpoint():
    one = published("eigen_zhou/val")
    assert unpack(one.pack()) == one
    assert one.pack()["lines"].numel() < 120_000
    with pytest.raises(MdtkError, match="is not the one of its checksum"):
        unpack(one.pack() | {"sha256": "0"})
    with pytest.raises(MdtkError, match="cannot be read"):
        unpack({"name": "a"})
