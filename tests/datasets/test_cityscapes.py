"""Cityscapes: the official tree, and prepared triplets of both forms."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.datasets.reader import STEREO
from mdtk.datasets.readers.cityscapes import Cityscapes, CityscapesPrepared

PROJECT = Path(__file__).resolve().parents[2]
CITY, SEQUENCE = "bonn", "bonn_000004"
LINES = [f"{CITY} {SEQUENCE}_000019", f"{CITY} {SEQUENCE}_000020"]
CAMERA = {
    "extrinsic": {"baseline": 0.2},
    "intrinsic": {"fx": 2000.0, "fy": 2010.0, "u0": 1020.0, "v0": 510.0},
}


def write_image(path, value, size=(2048, 1024)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path, compress_level=1)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "leftImg8bit_sequence" / "test" / CITY
    for frame in (18, 19, 20):
        write_image(folder / f"{SEQUENCE}_{frame:06d}_leftImg8bit.png", frame)
    camera = tmp_path / "camera" / "test" / CITY / f"{SEQUENCE}_000019_camera.json"
    camera.parent.mkdir(parents=True)
    camera.write_text(json.dumps(CAMERA))
    return tmp_path


def grey(image):
    return round(float(np.asarray(image).mean()))


def test_images_and_camera(root):
    reader = Cityscapes(root, LINES)
    images = reader.images(0, [0, -1, 1])
    assert [grey(image) for image in images] == [19, 18, 20]
    assert images[0].size == (2048, 768)
    K = reader.intrinsics(0, (2048, 768))
    np.testing.assert_allclose(K, [[2000, 0, 1020], [0, 2010, 510], [0, 0, 1]])
    np.testing.assert_array_equal(reader.intrinsics(1, (2048, 768)), K)  # the sequence's camera
    assert reader.name(0) == LINES[0]
    with pytest.raises(MdtkError, match="K belongs to 2048x768 pixels"):
        reader.intrinsics(0, (2048, 1024))
    with pytest.raises(MdtkError, match="right images are not read"):
        reader.images(0, [STEREO])


def test_crop_keeps_the_upper_three_quarters(root):
    pixels = np.repeat(np.arange(1024, dtype=np.uint16)[:, None] // 4, 2048, 1).astype(np.uint8)
    path = root / "leftImg8bit_sequence" / "test" / CITY / f"{SEQUENCE}_000019_leftImg8bit.png"
    Image.fromarray(pixels).convert("RGB").save(path, compress_level=1)
    rows = np.asarray(Cityscapes(root, LINES).images(0, [0])[0])[:, 0, 0]
    np.testing.assert_array_equal(rows, np.arange(768) // 4)


def test_annotated_images_alone_and_packages_in_archive_folders(root):
    (root / "leftImg8bit_sequence").rename(root / "leftImg8bit")
    (root / "camera_trainvaltest").mkdir()
    (root / "camera").rename(root / "camera_trainvaltest" / "camera")
    reader = Cityscapes(root, LINES)
    assert grey(reader.images(0, [0])[0]) == 19
    assert reader.intrinsics(0, (2048, 768))[0, 0] == 2000


def write_disparity(root):
    stored = np.zeros((1024, 2048), np.uint16)
    stored[100, 200] = 1 + 256 * 8  # 8 pixels: 0.2 · 2000 / 8 = 50 m
    stored[101, 200] = 1  # no disparity
    path = root / "disparity" / "test" / CITY / f"{SEQUENCE}_000019_disparity.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(stored).save(path)
    return path


def test_ground_truth_from_disparity(root):
    path = write_disparity(root)
    reader = Cityscapes(root, LINES)
    depth = reader.ground_truth(0)
    assert depth.shape == (768, 2048)
    assert depth.dtype == np.float32
    assert depth[100, 200] == 50
    assert np.count_nonzero(depth) == 1
    assert reader.ground_truth(0, "disparity").shape == (1024, 2048)
    write_image(path, 3)
    with pytest.raises(MdtkError, match="is a RGB image, but the disparity is a 16-bit grey PNG"):
        reader.ground_truth(0)
    path.unlink()
    with pytest.raises(MdtkError, match=r"disparity not found: .*_000019_disparity\.png"):
        reader.ground_truth(0)


def test_numbered_ground_truth_follows_the_roots_test_list(root):
    own = root / "splits" / "cityscapes" / "test_files.txt"
    own.parent.mkdir(parents=True)
    own.write_text("".join(f"{line}\n" for line in LINES))
    (root / "gt_depths").mkdir()
    for number in range(2):
        np.save(root / "gt_depths" / f"{number:03d}_depth.npy", np.full((1024, 2048), 10.0 + number))
    reader = Cityscapes(root, LINES[::-1])  # another order, or a part of the list, must not shift the numbers
    assert reader.ground_truth(0)[5, 5] == 11
    assert reader.ground_truth(1).shape == (768, 2048)
    np.save(root / "gt_depths" / "000_depth.npy", np.ones((512, 1024)))
    with pytest.raises(MdtkError, match="bonn_000004_000019: ground truth is 1024x512, not 2048x1024"):
        reader.ground_truth(1)
    np.save(root / "gt_depths" / "000_depth.npy", np.array([{}], object))
    with pytest.raises(MdtkError, match=r"cannot be read: .*000_depth\.npy"):
        reader.ground_truth(1)


def test_exported_ground_truth_is_what_the_reader_gives(root, monkeypatch, capsys):
    write_disparity(root)
    own = root / "splits" / "cityscapes" / "test_files.txt"
    own.parent.mkdir(parents=True)
    own.write_text(f"{LINES[0]}\n")
    before = Cityscapes(root, LINES[:1]).ground_truth(0)
    arguments = ["--dataset", "cityscapes", "--data_path", root, "--output", root / "gt_depths"]
    monkeypatch.setattr(sys, "argv", ["export_gt_depth.py", *map(str, arguments)])
    for counts in ("1 depth maps written, 0 were there", "0 depth maps written, 1 were there"):
        runpy.run_path(str(PROJECT / "tools" / "export_gt_depth.py"))["main"]()
        assert counts in capsys.readouterr().out
    assert np.load(root / "gt_depths" / "000_depth.npy", allow_pickle=False).shape == (1024, 2048)
    shutil.rmtree(root / "disparity")
    np.testing.assert_array_equal(Cityscapes(root, LINES[:1]).ground_truth(0), before)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"intrinsic": {"fx": "wide"}, "extrinsic": {}}'])
def test_bad_camera_file(root, content):
    path = root / "camera" / "test" / CITY / f"{SEQUENCE}_000019_camera.json"
    path.write_text(content)
    with pytest.raises(MdtkError, match=r"camera file cannot be read: .*_000019_camera\.json"):
        Cityscapes(root, LINES).intrinsics(0, (2048, 768))


@pytest.mark.parametrize("line", ["bonn", "bonn ulm_000004_000019", "bonn bonn_000004", "bonn bonn_000004_x", "a b c"])
def test_bad_line(root, line):
    with pytest.raises(
        MdtkError, match=r"list, line 1: cannot read '.*'; a line is '<city> <city>_<sequence>_<frame>'"
    ):
        Cityscapes(root, [line]).images(0, [0])


def test_missing_files_are_named(root):
    reader = Cityscapes(root, [f"{CITY} {SEQUENCE}_000025", "aachen aachen_000000_000019"])
    with pytest.raises(MdtkError, match=r"image not found: .*bonn_000004_000025_leftImg8bit\.png"):
        reader.images(0, [0])
    with pytest.raises(MdtkError, match=r"camera file not found: .*aachen_000000_000019_camera\.json"):
        reader.intrinsics(1, (2048, 768))


PREPARED = f"{CITY} {SEQUENCE}_000019"


def write_triplet(root, vertical, values=(10, 20, 30), size=(64, 24)):
    parts = [np.full((size[1], size[0], 3), value, np.uint8) for value in values]
    folder = root / CITY
    folder.mkdir(exist_ok=True)
    suffix = ".png" if vertical else ".jpg"
    Image.fromarray(np.concatenate(parts, 0 if vertical else 1)).save(folder / f"{SEQUENCE}_000019{suffix}")
    (folder / f"{SEQUENCE}_000019_cam.txt").write_text("50.0,0.,30.0,0.,51.0,14.0,0.,0.,1.")


@pytest.mark.parametrize("vertical", [True, False])
def test_triplets_of_both_forms(tmp_path, vertical):
    write_triplet(tmp_path, vertical)
    reader = CityscapesPrepared(tmp_path, [PREPARED])
    images = reader.images(0, [0, -1, 1])
    assert [grey(image) for image in images] == [20, 10, 30]
    assert images[0].size == (64, 24)
    np.testing.assert_allclose(reader.intrinsics(0, (64, 24)), [[50, 0, 30], [0, 51, 14], [0, 0, 1]])
    assert len(reader.files(0, [0, -1, 1])) == 1


def test_a_triplet_is_decoded_once(tmp_path, monkeypatch):
    write_triplet(tmp_path, True)
    opened = []
    monkeypatch.setattr(
        "mdtk.datasets.readers.cityscapes.open_rgb", lambda path: opened.append(path) or Image.open(path)
    )
    CityscapesPrepared(tmp_path, [PREPARED]).images(0, [0, -1, 1])
    assert len(opened) == 1


def test_prepared_errors(tmp_path):
    write_triplet(tmp_path, True)
    reader = CityscapesPrepared(tmp_path, [PREPARED, f"{CITY} {SEQUENCE}_000020"])
    with pytest.raises(MdtkError, match="triplets have no frame 2"):
        reader.images(0, [2])
    with pytest.raises(MdtkError, match="triplets have no frame s"):
        reader.images(0, [STEREO])
    with pytest.raises(MdtkError, match="image not found"):
        reader.images(1, [0])
    camera = tmp_path / CITY / f"{SEQUENCE}_000019_cam.txt"
    camera.write_text("50.0,0.,500.0,0.,51.0,14.0,0.,0.,1.")
    with pytest.raises(MdtkError, match="principal point lies outside the image of 64x24 pixels"):
        reader.intrinsics(0, (64, 24))
    camera.write_text("50.0,0.")
    with pytest.raises(MdtkError, match=r"the 9 numbers of K cannot be read: .*_cam\.txt"):
        reader.intrinsics(0, (64, 24))
    camera.unlink()
    with pytest.raises(MdtkError, match="intrinsics not found"):
        reader.intrinsics(0, (64, 24))
    write_image(tmp_path / CITY / f"{SEQUENCE}_000019.png", 5, (64, 73))
    with pytest.raises(MdtkError, match="64x73 pixels are no three frames of one size"):
        reader.images(0, [0])
