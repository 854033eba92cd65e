"""TF32, cuDNN's choice of kernels and determinism are keys of every command that computes, and stand in its result."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from mdtk.config import default_config, dump, load_config
from mdtk.config.machine import apply_float_settings
from mdtk.core.weights import write_weights
from mdtk.models import build_model
from tests.helpers.tools import call_tool

KEYS = ("TF32", "false", "CUDNN_BENCHMARK", "true", "DETERMINISTIC", "true")
STATED = {"tf32": False, "cudnn_benchmark": True, "deterministic": True}
DEFAULTS = {"tf32": True, "cudnn_benchmark": False, "deterministic": False}


@pytest.fixture
def checkpoint(tiny_recipe, tmp_path):
    cfg = load_config(tiny_recipe, ["EVAL.MAX_DEPTH", "10", "CUDNN_BENCHMARK", "true"])
    write_weights(tmp_path / "m.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    yield tmp_path / "m.pth"
    apply_float_settings(default_config())


@pytest.mark.parametrize(("keys", "stated"), [(KEYS, STATED), ((), DEFAULTS | {"cudnn_benchmark": True})])
def test_evaluation(checkpoint, tmp_path, keys, stated):
    apply_float_settings(load_config(None, ["TF32", "false"]))
    assert not call_tool("evaluate", "--checkpoint", checkpoint, "--no_baselines", "--output", tmp_path / "out", *keys)
    assert json.loads((tmp_path / "out" / "sequence_0.001-10m.json").read_text())["float_settings"] == stated
    assert torch.backends.cudnn.allow_tf32 == stated["tf32"]
    assert torch.are_deterministic_algorithms_enabled() == stated["deterministic"]


@pytest.mark.parametrize(("keys", "stated"), [(KEYS, STATED), ((), DEFAULTS)])
def test_prediction(checkpoint, tmp_path, keys, stated):
    Image.new("RGB", (64, 32)).save(tmp_path / "a.png")
    call_tool("test_simple", "--checkpoint", checkpoint, "--image_path", tmp_path / "a.png", "--save_npy", *keys)
    assert json.loads((tmp_path / "a_depth.json").read_text())["float_settings"] == stated
    assert torch.backends.cudnn.benchmark == stated["cudnn_benchmark"]
