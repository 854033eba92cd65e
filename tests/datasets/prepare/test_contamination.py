"""What a training list holds of a test list: the published counts, and lists that travel with a checkpoint."""

from __future__ import annotations

import pytest

from mdtk.core.errors import MdtkError
from mdtk.datasets import compact_splits
from mdtk.datasets.prepare.contamination import TrainList, contamination, unpack
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


def test_what_is_not_known(tmp_path):
    reader = KittiRaw(tmp_path, list(compact_splits.expand("eigen/test"))[:3])
    assert contamination([], reader, [0, 1]) == {"text": "the training list is not known"}
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
