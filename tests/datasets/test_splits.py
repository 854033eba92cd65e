"""Every published list has its count and its checksum, and equals the published text where that is available."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.datasets import compact_splits
from mdtk.datasets.splits import (
    as_text,
    kitti_archives,
    load_split,
    load_static_frames,
    text_path,
    text_sha256,
)

PROJECT = Path(__file__).resolve().parents[2]
FACTS = PROJECT.parent / "shared" / "facts" / "splits"

# name: (lines, first 16 digits of the sha256 of the published text)
ORDERED = {
    "eigen/test": (697, "e226d4ca16e0e6e9"),
    "eigen_benchmark/test": (652, "d56e5e509e6960a0"),
    "benchmark/val": (6060, "5c65577de234037b"),
    "benchmark/test": (500, "b9b0746d2e5263d9"),
    "odom/test_09": (1590, "8b999b6f97404166"),
    "odom/test_10": (1200, "f39c47e0c21f65d4"),
    "cityscapes/test": (1525, "e70c04ba9d091d11"),
    "make3d/test": (134, "1a78fe5095a886ef"),
    "nyuv2/test": (654, "049c0e3bb5355d86"),
    "static_frames/all": (8044, "268ef2acb91035ac"),
}
# name: (lines, first 16 digits of the sha256 of the published lines, sorted)
SETS = {
    "eigen_zhou/train": (39810, "ef04937576ba23ee"),
    "eigen_zhou/val": (4424, "ba106cbf66eb864b"),
    "eigen_full/train": (45200, "3e781a43c0f433f7"),
    "eigen_full/val": (1776, "038a76c9c1e7ce89"),
    "benchmark/train": (72084, "8a18f9d55309e781"),
    "odom/train": (36671, "2fee2821d91ac95a"),
    "odom/val": (4075, "57243e88611c414b"),
    "cityscapes/train": (69731, "c936a0efa3b825d9"),
}


@pytest.mark.parametrize("name", ORDERED)
def test_ordered_list(name):
    count, checksum = ORDERED[name]
    split = load_split(name)
    assert len(split) == count
    assert split.sha256[:16] == checksum
    assert split.sha256 == hashlib.sha256(as_text(split.lines).encode()).hexdigest()


@pytest.mark.parametrize("name", SETS)
def test_set(name):
    count, checksum = SETS[name]
    lines = load_split(name).lines
    assert len(lines) == len(set(lines)) == count
    assert text_sha256(sorted(lines))[:16] == checksum


def test_every_list_is_covered():
    assert set(compact_splits.names()) == ORDERED.keys() | SETS.keys() | {"cityscapes/val"}


def test_train_and_val_share_nothing():
    for folder in ("eigen_zhou", "eigen_full", "benchmark", "odom", "cityscapes"):
        assert not set(load_split(f"{folder}/train").lines) & set(load_split(f"{folder}/val").lines)
    assert len(load_split("cityscapes/val")) == 7386


@pytest.mark.skipif(not FACTS.is_dir(), reason="the published texts are not available")
@pytest.mark.parametrize("name", [*ORDERED, *SETS])
def test_equals_the_published_text(name):
    published = FACTS / "kitti" / "static_frames.txt"
    if name != "static_frames/all":
        published = next(
            path
            for base in (FACTS, FACTS / "kitti")
            if (path := base / text_path(base, name).relative_to(base / "splits")).is_file()
        )
    expected = published.read_text().splitlines()
    lines = list(load_split(name).lines)
    assert lines == expected if name in ORDERED else sorted(lines) == sorted(expected)


def test_eigen_benchmark_is_eigen_at_the_published_ids():
    eigen, improved = (
        [(folder, int(frame)) for folder, frame, _ in map(str.split, load_split(name).lines)]
        for name in ("eigen/test", "eigen_benchmark/test")
    )
    ids = [eigen.index(entry) for entry in improved]
    assert ids == sorted(ids)
    published = FACTS / "kitti" / "benchmark" / "eigen_to_benchmark_ids.npy"
    if published.is_file():
        assert ids == np.load(published).tolist()


def test_kitti_archives():
    archives = kitti_archives()
    assert len(archives) == 66
    assert sum(url.endswith("_calib.zip") for url in archives) == 5
    published = FACTS / "kitti" / "kitti_archives_to_download.txt"
    if published.is_file():
        assert archives == published.read_text().splitlines()


def test_the_roots_own_list_comes_first(tmp_path):
    own = tmp_path / "splits" / "eigen_zhou" / "train_files.txt"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"2011_09_26/2011_09_26_drive_0001_sync 1 l\r\n\r\n2011_09_26/2011_09_26_drive_0001_sync 2 l")
    split = load_split("eigen_zhou/train", tmp_path)
    assert split.lines == ("2011_09_26/2011_09_26_drive_0001_sync 1 l", "2011_09_26/2011_09_26_drive_0001_sync 2 l")
    assert split.origin == str(own)
    assert split.sha256 == text_sha256(split.lines)
    assert len(load_split("eigen_zhou/val", tmp_path)) == 4424
    assert load_split(str(own)).lines == split.lines
    assert text_path(tmp_path, "odom/test_09") == tmp_path / "splits" / "odom" / "test_files_09.txt"


def test_static_frames(tmp_path):
    assert len(load_static_frames()) == 8044
    assert ("2011_09_26/2011_09_26_drive_0009_sync", 386) in load_static_frames(tmp_path)
    own = tmp_path / "splits" / "static_frames.txt"
    own.parent.mkdir()
    own.write_text("2011_09_26 2011_09_26_drive_0099_sync 0000000003\n")
    assert load_static_frames(tmp_path) == {("2011_09_26/2011_09_26_drive_0099_sync", 3)}
    own.write_text("2011_09_26 3\n")
    with pytest.raises(MdtkError, match=r"static_frames\.txt, line 1: cannot read '2011_09_26 3'"):
        load_static_frames(tmp_path)


def test_errors(tmp_path):
    with pytest.raises(
        MdtkError, match=r"split eigen_zhu/train not found: it is not a published list; .*eigen_zhou/train"
    ):
        load_split("eigen_zhu/train")
    with pytest.raises(MdtkError, match=r"split nyuv2/train not found: .*tools/make_nyu_split\.py"):
        load_split("nyuv2/train", tmp_path)
    with pytest.raises(MdtkError, match=r"split list not found: .*missing\.txt"):
        load_split("missing.txt")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    with pytest.raises(MdtkError, match=r"split list is empty: .*empty\.txt"):
        load_split(str(empty))


def test_damaged_compact_form(tmp_path, monkeypatch):
    text = (PROJECT / "splits" / "eigen_benchmark.yaml").read_text()
    (tmp_path / "eigen.yaml").write_bytes((PROJECT / "splits" / "eigen.yaml").read_bytes())
    monkeypatch.setattr(compact_splits, "FOLDER", tmp_path)
    for old, new, message in (("eAEF", "AAAA", "is damaged"), ("652", "653", "652 entries, not 653")):
        (tmp_path / "eigen_benchmark.yaml").write_text(text.replace(old, new))
        compact_splits._document.cache_clear()
        with pytest.raises(MdtkError, match=message):
            load_split("eigen_benchmark/test")
    compact_splits._document.cache_clear()


def test_export_tool(tmp_path):
    output = tmp_path / "test_files.txt"
    command = [sys.executable, PROJECT / "tools" / "export_split.py", "--split", "eigen/test", "--output", output]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert output.read_text() == as_text(load_split("eigen/test").lines)
    assert "697 lines" in result.stdout
    failed = subprocess.run([*command[:3], "eigen/tset", *command[4:]], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: split eigen/tset not found")
    assert failed.stderr.count("\n") == 1
