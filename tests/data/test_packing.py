"""Packed copies: samples equal to the source's to the last bit; what does not fit or is damaged is refused."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from mdtk.config import load_config
from mdtk.core.errors import MdtkError, sentence
from mdtk.data.loader import build_loader, build_train_data, build_val_loader
from mdtk.data.packing import build_jobs
from mdtk.datasets.packed import NATIVE
from mdtk.datasets.prepare.cityscapes_triplets import Options, prepare
from tests.helpers.tools import call_tool

VIEWS = ["VIEWS.LOCAL_CROP", "true", "VIEWS.SPLIT_PERMUTE", "true"]
TINY = ["DATA.HEIGHT", "64", "DATA.WIDTH", "96", "DATA.WORKERS", "0"]
LAYOUTS = {
    "kitti_raw": ["DATA.NAME", "kitti_raw"],
    "stereo": ["DATA.NAME", "kitti_raw", "DATA.STEREO", "true", "DATA.SOURCES", "[]", "DATA.INTRINSICS", "calibrated"],
    "kitti_odom": ["DATA.NAME", "kitti_odom", "DATA.TRAIN_SPLIT", "odom/train", "DATA.VAL_SPLIT", "odom/val"],
    "nyuv2": ["DATA.NAME", "nyuv2", "DATA.TRAIN_SPLIT", "nyuv2/train", "DATA.VAL_SPLIT", ""],
    "cityscapes": ["DATA.NAME", "cityscapes_prepared", "DATA.TRAIN_SPLIT", "cityscapes/train", "DATA.VAL_SPLIT", ""],
}


def pack(cfg, workers: int = 0) -> list:
    jobs = build_jobs(cfg)
    for job in jobs:
        job.run(workers, lambda entries: entries)
    return jobs


def same(left: object, right: object) -> None:
    for field in dataclasses.fields(left):
        ours, theirs = getattr(left, field.name), getattr(right, field.name)
        if field.name == "parameters":
            assert ours.keys() == theirs.keys()
            assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
        else:
            assert np.array_equal(ours, theirs) if isinstance(ours, np.ndarray) else ours == theirs


@pytest.mark.parametrize("views", [[], VIEWS], ids=["whole", "views"])
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_samples_equal_those_of_the_source(tiny_world, tmp_path, layout, views):
    prepared = tmp_path / "cityscapes"
    if layout == "cityscapes":
        list(prepare(Options(tiny_world / "cityscapes", prepared), workers=1))
    roots = {name: tiny_world / name for name in ("kitti_raw", "kitti_odom", "nyuv2")} | {
        "cityscapes_prepared": prepared
    }
    words = [word for name, root in roots.items() for word in (f"ROOTS.{name.upper()}", str(root))]
    asked = [*words, *TINY, *LAYOUTS[layout], *views, "SOLVER.BATCH_SIZE", "1"]
    source = load_config(None, asked)
    packed = load_config(None, [*asked, "DATA.PACKED", str(tmp_path / "packed")])
    jobs = pack(packed)
    assert (jobs[0].folder / NATIVE).exists() == bool(views)
    expected, found = (build_train_data(cfg, 0, 1)[0] for cfg in (source, packed))
    found.sets[0].reader.images = None  # nothing is decoded
    for place in range(min(len(expected), 3)):
        same(expected[1, place, place], found[1, place, place])
    loaders = [build_val_loader(cfg, 0, 1, torch.device("cpu")) for cfg in (source, packed)]
    if loaders[0] is not None:
        ours, theirs = (next(iter(loader)) for loader in loaders)
        assert torch.equal(ours.frames_bn3hw, theirs.frames_bn3hw)
        assert torch.equal(ours.K_b33, theirs.K_b33)


@pytest.fixture(scope="module")
def copy(tiny_recipe, tmp_path_factory):
    """A recipe with a packed copy of the clip."""
    folder = tmp_path_factory.mktemp("packed")
    cfg = load_config(tiny_recipe, ["DATA.PACKED", str(folder), *VIEWS])
    pack(cfg, workers=2)
    return cfg, folder


def test_a_frame_is_kept_once_whatever_the_number_of_workers(copy, tiny_recipe, tmp_path):
    cfg, folder = copy
    pack(load_config(tiny_recipe, ["DATA.PACKED", str(tmp_path), *VIEWS]))
    train = folder / "sequence_train"
    assert len(np.load(train / "frames.npy")) == len(build_train_data(cfg, 0, 1)[0]) + 2  # neighbours share frames
    for name in ("frames.npy", NATIVE, "index.npz"):
        assert (train / name).read_bytes() == (tmp_path / "sequence_train" / name).read_bytes()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_many_workers_read_one_copy(copy):
    dataset = build_train_data(copy[0], 0, 1)[0]
    dataset[0, 0, 0]  # the files are open before the workers are forked
    keys = [[(0, place, place % len(dataset))] for place in range(48)]
    alone = [dataset[one[0]] for one in keys]
    for sample, batch in zip(alone, build_loader(dataset, keys, 12, torch.device("cpu")), strict=True):
        assert np.array_equal(sample.frames_n3hw, batch.frames_bn3hw[0].numpy())
    same(pickle.loads(pickle.dumps(dataset))[0, 0, 0], alone[0])  # for workers that are spawned


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (["DATA.WIDTH", "96"], "has width 64, and the recipe wants 96"),
        (["DATA.SOURCES", "[-1]"], "has offsets 0 -1 1, and the recipe wants 0 -1;"),
        (["DATA.SEQUENCE.VAL_FRACTION", "0.5"], "has entries 7, and the recipe wants 5"),
        (["DATA.SEQUENCE.STRIDE", "2"], "has stride 1, and the recipe wants 2"),
    ],
)
def test_a_copy_that_does_not_fit_is_refused(copy, tiny_recipe, change, reason):
    cfg = load_config(tiny_recipe, ["DATA.PACKED", str(copy[1]), *change])
    with pytest.raises(MdtkError, match=reason):
        build_train_data(cfg, 0, 1)
    with pytest.raises(MdtkError, match=reason):
        build_jobs(cfg)[0].is_done()


def test_a_copy_without_native_pixels_serves_no_crops(tiny_recipe, tmp_path):
    pack(load_config(tiny_recipe, ["DATA.PACKED", str(tmp_path)]))
    with pytest.raises(MdtkError, match="has native False, and the recipe wants True"):
        build_train_data(load_config(tiny_recipe, ["DATA.PACKED", str(tmp_path), *VIEWS]), 0, 1)


def test_no_copy_and_no_key(tiny_recipe, tmp_path):
    with pytest.raises(MdtkError, match="packed copy not found"):
        build_train_data(load_config(tiny_recipe, ["DATA.PACKED", str(tmp_path)]), 0, 1)
    with pytest.raises(MdtkError, match=r"DATA\.PACKED is empty"):
        build_jobs(load_config(tiny_recipe))


def read_all(cfg) -> None:
    dataset = build_train_data(cfg, 0, 1)[0]
    for index in range(len(dataset)):
        dataset[0, 0, index]


@pytest.mark.parametrize("name", ["frames.npy", NATIVE, "index.npz", "packed.json"])
@pytest.mark.parametrize("damage", ["bit", "cut", "gone"])
def test_damage_is_noticed(tiny_recipe, tmp_path, name, damage):
    cfg = load_config(tiny_recipe, ["DATA.PACKED", str(tmp_path), *VIEWS])
    pack(cfg)
    path = tmp_path / "sequence_train" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "bit" else content[: len(content) // 2])
    with pytest.raises(MdtkError, match=r"pack it again|mdtk pack") as caught:
        read_all(cfg)
    assert str(tmp_path) in str(caught.value)


def test_a_frame_that_is_cut_off_during_a_training(tiny_recipe, tmp_path):
    cfg = load_config(tiny_recipe, ["DATA.PACKED", str(tmp_path)])
    pack(cfg)
    dataset = build_train_data(cfg, 0, 1)[0]
    (tmp_path / "sequence_train" / "frames.npy").write_bytes(b"")
    with pytest.raises(MdtkError, match="the file ends early"):
        dataset[0, 0, 0]


def test_an_unreadable_entry_stays_unreadable(tiny_recipe, tmp_path, monkeypatch):
    asked = ["DATA.PACKED", str(tmp_path), "DATA.MAX_UNREADABLE", "1"]
    cfg = load_config(tiny_recipe, asked)
    job = build_jobs(cfg)[0]
    images = type(job.reader).images

    def broken(reader, index, offsets):
        if index == 1:
            raise MdtkError("image cannot be read: 1.png; fetch it again")
        return images(reader, index, offsets)

    monkeypatch.setattr(type(job.reader), "images", broken)
    pack(cfg)
    sample = build_train_data(cfg, 0, 1)[0][0, 0, 1]
    assert "image cannot be read: 1.png" in sample.problem
    with pytest.raises(MdtkError, match=r"1\.png"):
        pack(load_config(tiny_recipe, asked[:2]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sequence_train", "sequence_val"]  # nothing torn


def test_the_command(tiny_recipe, tmp_path, capsys):
    words = ["--config", tiny_recipe, "DATA.PACKED", tmp_path, "--jobs", "0"]
    call_tool("pack_dataset", *words)
    assert "7 entries, 9 frames" in capsys.readouterr().out
    call_tool("pack_dataset", *words)
    assert "is there already" in capsys.readouterr().out
    note = json.loads((tmp_path / "sequence_train" / "packed.json").read_text())
    assert note["provenance"]["list"] == "sequence train"
    with pytest.raises(MdtkError) as caught:
        call_tool("pack_dataset", *words, "DATA.HEIGHT", "64")
    assert "has height 32, and the recipe wants 64; give --overwrite" in sentence(caught.value)
    call_tool("pack_dataset", *words, "DATA.HEIGHT", "64", "--overwrite")
    assert np.load(tmp_path / "sequence_train" / "frames.npy").shape[2] == 64


def test_the_check_looks_at_the_copy(tiny_recipe, clip, tmp_path, capsys):
    """Present, made for this recipe and whole, by checksum; images of the data root are not asked for."""
    root = tmp_path / "clip"
    shutil.copytree(clip / "color", root)
    words = ["--config", tiny_recipe, "DATA.PACKED", tmp_path / "packed", "DATA.SEQUENCE.PATHS", f"[{root}]"]

    def check(*more: object) -> tuple[int, str]:
        return call_tool("check_data", *words, *more) or 0, capsys.readouterr().out

    code, out = check()
    assert code == 1
    assert "packed copy: packed copy not found" in out
    call_tool("pack_dataset", *words, "--jobs", "0")
    victim = sorted(root.iterdir())[3]
    victim.write_bytes(b"no image")
    capsys.readouterr()
    code, out = check()
    assert (code, f"9 frames packed in {tmp_path / 'packed' / 'sequence_train'}: nothing wrong" in out) == (0, True)
    code, out = check("DATA.HEIGHT", "64")
    assert code == 1
    assert "has height 32, and the recipe wants 64" in out
    frames = tmp_path / "packed" / "sequence_train" / "frames.npy"
    content = bytearray(frames.read_bytes())
    content[-1] ^= 1
    frames.write_bytes(content)
    code, out = check()
    assert code == 1
    assert out.count("are not those that were packed (CRC32 differs); pack it again") == 1
    assert check("--quick")[0] == 0
    assert check("DATA.PACKED", "")[1].count(f"unreadable: image cannot be read: {victim}")
