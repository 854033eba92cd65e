"""The files of the sample world: layouts, split lists, equal bytes for equal seeds, resuming."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.synthetic import make_sample, world

KITTI = ["kitti_raw", "kitti_odom"]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    assert make_sample(root, "tiny", 0, KITTI, jobs=2) == {"kitti_raw": "made", "kitti_odom": "made"}
    return root


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_one_process_and_two_write_the_same_bytes(sample, tmp_path):
    make_sample(tmp_path, "tiny", 0, ["kitti_odom"], jobs=1)
    assert digests(tmp_path / "kitti_odom") == digests(sample / "kitti_odom")


def test_another_seed_is_another_world(sample, tmp_path):
    make_sample(tmp_path, "tiny", 1, ["kitti_odom"], jobs=2)
    ours, theirs = digests(sample / "kitti_odom"), digests(tmp_path / "kitti_odom")
    images = [name for name in ours if name.endswith(".png")]
    assert images
    assert set(ours) == set(theirs)
    assert all(ours[name] != theirs[name] for name in images)


def test_a_finished_world_is_reused_and_an_interrupted_one_completed(sample, monkeypatch):
    before = digests(sample)
    monkeypatch.setattr(world, "_run", lambda tasks, jobs: pytest.fail("nothing to do") if tasks else None)
    assert make_sample(sample, "tiny", 0, KITTI) == {"kitti_raw": "reused", "kitti_odom": "reused"}
    monkeypatch.undo()
    stamp = {"version": world.VERSION, "scale": "tiny", "seed": 0, "finished": []}
    (sample / "sample.json").write_text(json.dumps(stamp))
    lost = sample / "kitti_odom/sequences/09/image_2/000003.png"
    lost.unlink()
    torn = lost.with_name(".000004.77.tmp.png")
    torn.write_bytes(b"half")
    make_sample(sample, "tiny", 0, KITTI, jobs=2)
    assert digests(sample) == before


def test_another_world_or_other_data_is_refused(sample, tmp_path):
    with pytest.raises(MdtkError, match=r"'seed': 0.*asked.*'seed': 3"):
        make_sample(sample, "tiny", 3, KITTI)
    (tmp_path / "kitti_raw").mkdir()
    with pytest.raises(MdtkError, match="not made by this tool"):
        make_sample(tmp_path, "tiny", 0, KITTI)
    (tmp_path / "sample.json").write_text("[]")
    with pytest.raises(MdtkError, match="not a sample's stamp"):
        make_sample(tmp_path, "tiny", 0, KITTI)
    with pytest.raises(MdtkError, match="no dataset 'kiti'"):
        make_sample(tmp_path, "tiny", 0, ["kiti"])


def test_raw_lists_name_files_that_exist(sample):
    root = sample / "kitti_raw"
    cameras = {"l": "image_02", "r": "image_03"}
    for name in ("eigen_zhou/train", "eigen_zhou/val", "eigen_full/train", "eigen_full/val", "eigen/test"):
        entries = [line.split() for line in lines(root / "splits" / f"{name}_files.txt")]
        assert entries
        neighbours = (-1, 0, 1) if "zhou" in name else (0,)
        for folder, frame, side in entries:
            for step in neighbours:
                assert (root / folder / cameras[side] / "data" / f"{int(frame) + step:010d}.png").is_file()
            assert (root / folder / "velodyne_points" / "data" / f"{int(frame):010d}.bin").is_file()
    for line in lines(root / "splits/eigen_benchmark/test_files.txt"):
        folder, frame, _ = line.split()
        assert (root / folder / "proj_depth/groundtruth/image_02" / f"{int(frame):010d}.png").is_file()
    for line in lines(root / "splits/benchmark/test_files.txt"):
        assert (root / "image" / f"{int(line.split()[1]):010d}.png").is_file()
        assert np.loadtxt(root / "intrinsics" / f"{int(line.split()[1]):010d}.txt").size == 9


def test_raw_lists_keep_their_rules(sample):
    splits = sample / "kitti_raw/splits"
    static = {tuple(line.split()[1:]) for line in lines(splits / "static_frames.txt")}
    assert static
    train = [line.split() for line in lines(splits / "eigen_zhou/train_files.txt")]
    assert not {(folder.split("/")[1], f"{int(frame):010d}") for folder, frame, _ in train} & static
    eigen = [line.split() for line in lines(splits / "eigen/test_files.txt")]
    assert all(len(frame) == 10 and side == "l" for _, frame, side in eigen)
    improved = [line.split() for line in lines(splits / "eigen_benchmark/test_files.txt")]
    kept = [(folder, int(frame)) for folder, frame, _ in eigen]
    assert 0 < len(improved) < len(eigen)
    assert [kept.index((folder, int(frame))) for folder, frame, _ in improved] == sorted(
        kept.index((folder, int(frame))) for folder, frame, _ in improved
    )
    drives = {name: {line.split()[0] for line in lines(splits / name)} for name in (
        "eigen_zhou/train_files.txt", "eigen_zhou/val_files.txt", "eigen/test_files.txt")}  # fmt: skip
    assert len(set.union(*drives.values())) == sum(len(names) for names in drives.values())


def test_raw_files_have_kitti_s_formats(sample):
    root = sample / "kitti_raw"
    folder = root / lines(root / "splits/eigen/test_files.txt")[0].split()[0]
    rows = dict(line.split(": ") for line in lines(folder.parent / "calib_cam_to_cam.txt"))
    width, height = (int(float(v)) for v in rows["S_rect_02"].split())
    image = cv2.imread(str(folder / "image_03/data/0000000000.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (height, width, 3)
    points = np.fromfile(folder / "velodyne_points/data/0000000000.bin", np.float32).reshape(-1, 4)
    assert len(points) > 1000
    truth = cv2.imread(str(next((folder / "proj_depth/groundtruth/image_03").iterdir())), cv2.IMREAD_UNCHANGED)
    assert truth.dtype == np.uint16
    assert truth.shape == (height, width)
    assert 1 < np.median(truth[truth > 0]) / 256 < 40


def test_odometry_layout(sample):
    root = sample / "kitti_odom"
    for sequence in ("00", "01", "09", "10"):
        images = sorted((root / "sequences" / sequence / "image_2").iterdir())
        right = root / "sequences" / sequence / "image_3"  # read for training only
        assert (len(list(right.iterdir())) if right.exists() else 0) == (len(images) if sequence in ("00", "01") else 0)
        poses = np.loadtxt(root / "poses" / f"{sequence}.txt")
        assert poses.shape == (len(images), 12)
        assert np.loadtxt(root / "sequences" / sequence / "times.txt").shape == (len(images),)
        names = [line.split(":")[0] for line in lines(root / "sequences" / sequence / "calib.txt")]
        assert names == ["P0", "P1", "P2", "P3"]
    tests = lines(root / "splits/odom/test_files_09.txt")
    assert tests == [f"9 {frame} l" for frame in range(len(tests))]
    assert len(tests) == len(list((root / "sequences/09/image_2").iterdir())) - 1
    train, val = (set(lines(root / f"splits/odom/{name}_files.txt")) for name in ("train", "val"))
    assert train
    assert val
    assert not train & val
    assert {line.split()[0] for line in train | val} <= {"0", "1"}
