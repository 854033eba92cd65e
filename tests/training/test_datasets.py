"""Every dataset trains a few steps on the tiny world's layout and is evaluated, by the recipes that users run."""

from __future__ import annotations

import json
import math

import pytest

from mdtk.config import load_config
from mdtk.core.files import ROOT
from mdtk.datasets.prepare.cityscapes_triplets import Options, prepare
from mdtk.training.train import train
from tests.helpers.tools import call_tool

SMALL = """DATA.HEIGHT 32 DATA.WIDTH 64 DATA.WORKERS 0 SOLVER.BATCH_SIZE 2 SOLVER.MAX_STEPS 2 MODEL.ENCODER resnet18
    MODEL.PRETRAINED false LOG.TENSORBOARD false LOG.IMAGES 0"""


def run(recipe: str, world, out_dir, *overrides: str) -> dict:
    """Trains two steps of a recipe, small; the record of its epoch."""
    roots = [("KITTI_RAW", "kitti_raw"), ("KITTI_ODOM", "kitti_odom"), ("NYUV2", "nyuv2"), ("CITYSCAPES", "cityscapes")]
    keys = [word for key, folder in roots for word in (f"ROOTS.{key}", str(world / folder))]
    train(load_config(ROOT / "configs" / recipe, [*keys, *SMALL.split(), "OUT_DIR", str(out_dir), *overrides]))
    lines = [json.loads(line) for line in (out_dir / "metrics.jsonl").read_text().splitlines()]
    return next(line for line in lines if line["kind"] == "epoch")


@pytest.mark.parametrize(
    ("recipe", "protocol"),
    [
        ("kitti/monodepth2_mono_640x192.yaml", "kitti_eigen/monodepth2"),
        ("kitti/monodepth2_mono_stereo_640x192.yaml", "kitti_eigen/monodepth2"),
        ("kitti/monodepth2_stereo_640x192.yaml", "kitti_eigen/monodepth2"),
        ("kitti/monodepth2_mono_odom_640x192.yaml", ""),
        ("kitti/bdedepth_resnet18_640x192.yaml", "kitti_eigen/bdedepth"),
    ],
)
def test_kitti(recipe, protocol, tiny_world, tmp_path):
    record = run(recipe, tiny_world, tmp_path)
    assert math.isfinite(record["val_loss"])
    assert not protocol or record[f"{protocol}/abs_rel"] > 0


def test_nyuv2(tiny_world, tmp_path):
    keys = ["MODEL.HRNET_FUSE", "nearest", "DATA.VAL_SPLIT", "", "SOLVER.BATCH_SIZE", "1"]
    record = run("nyuv2/bdedepth_hrnet18_384x288.yaml", tiny_world, tmp_path, *keys)
    assert record["nyuv2/bdedepth/abs_rel"] > 0


def test_benchmark_and_improved_ground_truth(tiny_world, tmp_path):
    keys = ["DATA.TRAIN_SPLIT", "benchmark/train", "DATA.VAL_SPLIT", "benchmark/val"]
    recipe = "kitti/monodepth2_mono_640x192.yaml"
    record = run(recipe, tiny_world, tmp_path, *keys, "EVAL.PROTOCOLS", "[kitti_eigen_benchmark]")
    assert record["kitti_eigen_benchmark/monodepth2/abs_rel"] > 0


def test_two_sets_in_one_run(tiny_world, tmp_path):
    sets = '[{}, {NAME: nyuv2, TRAIN_SPLIT: nyuv2/train, VAL_SPLIT: "", DEPTH_RANGE: [0.1, 10], WEIGHT: 0.5}]'
    recipe = "kitti/monodepth2_mono_640x192.yaml"
    record = run(recipe, tiny_world, tmp_path, "DATA.SETS", sets, "EVAL.PROTOCOLS", "[kitti_eigen, nyuv2]")
    assert {"kitti_eigen/monodepth2/a1", "nyuv2/structdepth/a1"} <= record.keys()


def test_cityscapes_prepared_trained_and_evaluated(tiny_world, tmp_path):
    prepared = tmp_path / "prepared"
    for _ in prepare(Options(tiny_world / "cityscapes", prepared), workers=1):
        pass
    keys = ["ROOTS.CITYSCAPES_PREPARED", str(prepared), "DATA.VAL_SPLIT", "", "SOLVER.BATCH_SIZE", "1"]
    recipe = "cityscapes/bdedepth_resnet18_512x192.yaml"
    record = run(recipe, tiny_world, tmp_path / "out", *keys)
    assert record["cityscapes/bdedepth/abs_rel"] > 0


def test_every_benchmark_of_one_checkpoint(tiny_world, tmp_path, capsys):
    """tools/evaluate.py's five benchmarks in one command, on the tiny world."""
    run("kitti/monodepth2_mono_640x192.yaml", tiny_world, tmp_path)
    five = ("kitti_eigen", "kitti_eigen_benchmark", "nyuv2", "make3d", "cityscapes")
    roots = [word for key in ("MAKE3D", "CITYSCAPES") for word in (f"ROOTS.{key}", str(tiny_world / key.lower()))]
    options = ("--checkpoint", tmp_path / "last.pth", "--output", tmp_path / "scores", "--datasets", *five)
    call_tool("evaluate", *options, *roots)
    summary = (tmp_path / "scores" / "summary.txt").read_text()
    assert all(name in summary for name in five)
    assert "median map" in capsys.readouterr().out
