"""The scripts of benchmarks/ whose figures need another machine or hour: they run, and give every figure."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from mdtk.core.errors import MdtkError
from tests.helpers.device import on_cpu

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
SMALL = ("DATA.WIDTH", "64", "DATA.HEIGHT", "32", "MODEL.ENCODER", "mobilenetv3_small_050")
SMALL += ("MODEL.POSE_ENCODER", "mobilenetv3_small_050")


@pytest.fixture
def figures(monkeypatch, tmp_path):
    """The ratios that a script writes for a command line."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def run(script: str, *words: object) -> dict[str, float]:
        path = tmp_path / "figures.json"
        monkeypatch.setattr(sys, "argv", [script, *map(str, words), "--json", str(path), *SMALL])
        importlib.import_module(script.removesuffix(".py")).main()  # by a name, which processes that it starts import
        return {name: one["ratio"] for name, one in json.loads(path.read_text()).items()}

    return run


def test_gpu(figures, monkeypatch):
    """On a CPU; kernels would take minutes."""
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    words = ["--steps", 2, "--repeats", 1, "--frames", 6, "--workers", 0, "SOLVER.BATCH_SIZE", 2, "DEVICE", "cpu"]
    found = figures("gpu.py", *words)
    assert list(found) == ["float32 eager to bf16 compiled", "idle share with the loader", "minutes for 39810 samples"]
    assert found["float32 eager to bf16 compiled"] > 0
    assert found["idle share with the loader"] < 1
    assert found["minutes for 39810 samples"] > 0


def test_video(figures):
    assert all(ratio > 0 for ratio in figures("video.py", "--frames", 3, "--repeats", 1).values())


@on_cpu
def test_processes(figures):
    found = figures("processes.py", "--batch", 2, "--steps", 1, "--repeats", 1)
    assert found["processes"] > 0
    with pytest.raises(MdtkError, match="--batch 3 is not shared evenly by --processes 2"):
        figures("processes.py", "--batch", 3)


def test_loss_step(figures, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    found = figures("loss_step.py", "--batch", 1, "--repeats", 1, "--compile", "all")
    assert {name.removeprefix("mobilenetv3_small_050 ") for name in found} == {
        "step to networks",
        "loss memory",
        "compiled step to eager networks",
    }
    assert all(ratio > 0 for ratio in found.values())
