"""Dataset readers built from a configuration: where their root and list come from."""

from __future__ import annotations

import pytest

from mdtk.config import depth_range, load_config
from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import DATASETS, build_eval_reader, build_reader, trained_set
from mdtk.datasets.reader import DatasetReader
from mdtk.datasets.readers.kitti import KittiRaw


def test_every_dataset_has_a_reader_under_its_name():
    assert set(DATASETS) == {
        "kitti_raw", "kitti_odom", "nyuv2", "make3d", "cityscapes", "cityscapes_prepared", "sequence",
        "ddad", "diode", "eth3d", "scannet", "sintel", "tum_rgbd", "syns_patches",
    }  # fmt: skip
    for key, reader in DATASETS.items():
        assert issubclass(reader, DatasetReader)
        assert reader.key == key
    assert len(DATASETS) == 14


def test_an_evaluation_reads_the_training_set_of_its_dataset():
    sets = "[{DEPTH_RANGE: [0.2, 50]}, {NAME: nyuv2, DEPTH_RANGE: [0.1, 10]}, {NAME: cityscapes_prepared}]"
    cfg = load_config(None, ["DATA.SETS", sets])

    def range_of(dataset):
        return depth_range(trained_set(cfg, dataset), cfg)

    assert range_of("nyuv2") == (0.1, 10.0)
    assert range_of("cityscapes_prepared") == range_of("cityscapes") == (0.1, 100.0)
    assert range_of("kitti_odom") == range_of("make3d") == range_of("") == (0.2, 50.0)
    with pytest.raises(MdtkError, match="nyuv2_2 is training set 2 of nyuv2, of which the recipe has 1"):
        range_of("nyuv2_2")


def test_roots(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "kitti_raw").mkdir(parents=True)
    own = tmp_path / "own"
    (own / "splits" / "eigen_zhou").mkdir(parents=True)
    (own / "splits" / "eigen_zhou" / "train_files.txt").write_text("2011_09_26/2011_09_26_drive_0001_sync 5 l\n")
    monkeypatch.setenv("MDTK_DATASETS", str(home))
    cfg = load_config()
    reader = build_reader(cfg.DATA, cfg, "eigen_zhou/train")
    assert isinstance(reader, KittiRaw)
    assert reader.root == home / "kitti_raw"
    assert len(reader) == 39810
    cfg = load_config(None, ["DATA.ROOT", str(own), "DATA.INTRINSICS", "calibrated"])
    reader = build_reader(cfg.DATA, cfg, "eigen_zhou/train")
    assert (reader.root, len(reader), reader.intrinsics_mode) == (own, 1, "calibrated")
    assert build_eval_reader("kitti_raw", cfg, "eigen/test").root == home / "kitti_raw"
    cfg = load_config(None, ["ROOTS.KITTI_RAW", str(own)])
    assert build_eval_reader("kitti_raw", cfg, "eigen/test").root == own


def test_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path))
    cfg = load_config(None, ["DATA.NAME", "make3d"])
    with pytest.raises(
        MdtkError, match=r"data root of make3d not found: .*/make3d; set ROOTS\.MAKE3D or MDTK_DATASETS"
    ):
        build_reader(cfg.DATA, cfg, "make3d/test")
    generated = load_config(None, ["DATA.NAME", "make3d", "ROOTS.MAKE3D", "sample/make3d"])
    with pytest.raises(MdtkError, match=f"make_sample_data.py --output {tmp_path}/sample makes it"):
        build_reader(generated.DATA, generated, "make3d/test")
    with pytest.raises(MdtkError, match=r"the protocol names the dataset reader 'kity', and there is none .*kitti_raw"):
        build_eval_reader("kity", cfg, "eigen/test")
    (tmp_path / "make3d").mkdir()
    with pytest.raises(MdtkError, match="split make3d/train not found"):
        build_reader(cfg.DATA, cfg, "make3d/train")


def test_a_text_file_as_split(tmp_path, monkeypatch):
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path))
    (tmp_path / "make3d").mkdir()
    (tmp_path / "mine.txt").write_text("op1-p-077t000\n")
    cfg = load_config(None, ["DATA.NAME", "make3d"])
    for name in ("mine.txt", str(tmp_path / "mine.txt")):  # below the data home, or anywhere
        assert build_reader(cfg.DATA, cfg, name).lines == ["op1-p-077t000"]
