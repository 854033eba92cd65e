"""Training as a user runs it: it learns, it resumes bit for bit after a kill, one process or two."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.switches import kill_tree
from mdtk.core.errors import MdtkError
from mdtk.training.logger import Logger
from tests.helpers.device import on_cpu
from tests.helpers.tiny import PROJECT, run_tool
from tests.helpers.training import differing, records, weights


def assert_same(left: Path, right: Path) -> None:
    different = differing(weights(left), weights(right))
    assert not different, f"{len(different)} tensors differ: {different[:5]}"


@pytest.fixture(scope="module")
def whole(tiny_recipe, tmp_path_factory) -> Path:
    """The uninterrupted run of one process."""
    out_dir = tmp_path_factory.mktemp("whole")
    run_tool("train", "--config", tiny_recipe, "OUT_DIR", out_dir, "EVAL.PROTOCOLS", "[sequence]")
    return out_dir


def test_writes_what_it_promises(whole):
    for name in ("last.pth", "best.pth", "config.yaml", "metrics.jsonl"):
        assert (whole / name).is_file()
    assert not [path for path in whole.iterdir() if ".tmp" in path.name]
    epochs = records(whole, "epoch")
    assert [record["epoch"] for record in epochs] == [1, 2]
    assert all("val_loss" in record and "sequence/abs_rel" in record for record in epochs)
    content = torch.load(whole / "last.pth", weights_only=True)
    assert {"model", "cfg", "training", "meta"} <= content.keys()
    assert {"optimizer", "step", "seed", "best", "history"} <= content["training"].keys()


def kill_in_mid_epoch(recipe: Path, out_dir: Path, processes: int) -> None:
    """Starts a training and kills it, workers and all, as soon as it has a checkpoint."""
    launcher = [sys.executable]
    if processes:
        launcher += ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"]
    command = [*launcher, str(PROJECT / "tools" / "train.py"), "--config", str(recipe), "OUT_DIR", str(out_dir)]
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=env, start_new_session=True, **quiet)
    deadline = time.monotonic() + 120
    while not (out_dir / "last.pth").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    kill_tree(process)


@on_cpu
@pytest.mark.parametrize("processes", [0, 2])
def test_killed_and_resumed_equals_uninterrupted(tiny_recipe, whole, tmp_path, processes):
    """kill -9 in mid-epoch; the same command again ends with the same weights, bit for bit."""
    out_dir = tmp_path / "cut"
    if processes:
        whole = tmp_path / "whole"
        run_tool("train", "--config", tiny_recipe, "OUT_DIR", whole, processes=processes)
    kill_in_mid_epoch(tiny_recipe, out_dir, processes)
    step = torch.load(out_dir / "last.pth", weights_only=True)["training"]["step"]
    total = torch.load(whole / "last.pth", weights_only=True)["training"]["step"]
    assert 0 < step < total
    done = run_tool("train", "--config", tiny_recipe, "OUT_DIR", out_dir, processes=processes)
    assert f"resuming from step {step}" in done.stdout
    assert_same(out_dir / "last.pth", whole / "last.pth")
    steps = [record["step"] for record in records(out_dir, "train")]
    assert steps == list(range(1, total + 1)), "each step is logged once"


@on_cpu
def test_number_of_workers_does_not_matter(tiny_recipe, whole, tmp_path):
    run_tool("train", "--config", tiny_recipe, "OUT_DIR", tmp_path, "DATA.WORKERS", 2)
    assert_same(tmp_path / "last.pth", whole / "last.pth")


def test_another_configuration_is_refused(tiny_recipe, whole):
    done = run_tool("train", "--config", tiny_recipe, "OUT_DIR", whole, "SOLVER.LR", "3e-4", check=False)
    assert done.returncode == 1
    assert "SOLVER.LR: 0.0001 != 0.0003" in done.stderr
    assert done.stderr.count("\n") == 1


def test_losses_are_read_before_every_checkpoint(tiny_recipe, tmp_path):
    """So that no checkpoint is written over a loss that is not finite, however rarely losses are logged."""
    run_tool("train", "--config", tiny_recipe, "OUT_DIR", tmp_path, "LOG.PERIOD", 50, "SOLVER.EPOCHS", 1)
    steps = [record["step"] for record in records(tmp_path, "train")]
    assert len(steps) > 2
    assert steps == list(range(1, steps[-1] + 1))  # CHECKPOINT.PERIOD is 1


def test_a_failed_evaluation_loses_nothing(tiny_recipe, clip, tmp_path):
    """A broken ground truth is told at the epoch's end, and the epoch is saved; the first one is missed at once."""
    depth = tmp_path / "depth"
    shutil.copytree(clip / "depth", depth)
    keys = ["DATA.SEQUENCE.DEPTH", f"[{depth}]", "EVAL.PROTOCOLS", "[sequence]", "OUT_DIR", tmp_path / "out"]
    sorted(depth.iterdir())[-2].write_bytes(b"no PNG")
    done = run_tool("train", "--config", tiny_recipe, *keys, check=False)
    assert done.returncode == 1
    assert "the epoch is saved" in done.stderr
    training = torch.load(tmp_path / "out" / "last.pth", weights_only=True)["training"]
    assert training["step"] == len(records(tmp_path / "out", "train"))
    assert [record["epoch"] for record in training["history"]] == [1]
    for path in depth.iterdir():
        path.unlink()
    again = run_tool("train", "--config", tiny_recipe, *keys, "CHECKPOINT.RESUME", "false", check=False)
    assert again.returncode == 1
    assert "epoch 1" not in again.stdout


def test_processes_that_find_different_checkpoints_are_refused(tiny_recipe, tmp_path, monkeypatch):
    from mdtk.config import load_config
    from mdtk.core import distributed
    from mdtk.training.train import set_up

    monkeypatch.setattr(distributed, "gather_objects", lambda items: [*items, 7])
    with pytest.raises(MdtkError, match="OUT_DIR must be one folder that all machines share"):
        set_up(load_config(tiny_recipe, ["OUT_DIR", str(tmp_path)]), torch.device("cpu"))


def test_a_logger_removes_what_a_kill_left(tmp_path):
    (tmp_path / ".last.123.tmp.pth").write_text("half")
    lines = [json.dumps({"kind": "train", "step": step}) for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, '{"kind": "tr']))
    Logger(tmp_path, True, 2).close()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == lines[:2]


def test_learns(tiny_recipe, tmp_path):
    run_tool("train", "--config", tiny_recipe, "OUT_DIR", tmp_path, "SOLVER.EPOCHS", 8, "SOLVER.LR", "5e-4")
    losses = [record["total"] for record in records(tmp_path, "train")]
    assert sum(losses[-6:]) < 0.95 * sum(losses[:6])
