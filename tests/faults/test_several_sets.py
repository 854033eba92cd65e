"""A model that was trained on several sets is evaluated on each as it was trained on it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mdtk.config import dump, load_config
from mdtk.core.weights import write_weights
from mdtk.models import build_model, load_model
from tests.helpers.tiny import write_clip
from tests.helpers.tools import call_tool


@pytest.fixture(scope="module")
def checkpoint(clip, tiny_recipe, tmp_path_factory):
    """Of a model for two sequences, which differ in depth range and in the unit of their depth PNGs."""
    folder = tmp_path_factory.mktemp("two")
    other = write_clip(folder / "other", seed=1)
    second = f"{{PATHS: [{other / 'color'}], DEPTH: [{other / 'depth'}], DEPTH_SCALE: 500}}"
    sets = f"[{{DEPTH_RANGE: [0.5, 20]}}, {{SEQUENCE: {second}, DEPTH_RANGE: [1, 80]}}]"
    cfg = load_config(tiny_recipe, ["DATA.SETS", sets, "EVAL.MAX_DEPTH", "10"])
    write_weights(folder / "m.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    return folder / "m.pth"


def test_every_set_has_its_depth_range(checkpoint):
    model = load_model(checkpoint)
    image = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    first, second = (model.disparity(image, name) for name in ("sequence", "sequence_2"))
    torch.testing.assert_close((first - 1 / 20) / (1 / 0.5 - 1 / 20), (second - 1 / 80) / (1 - 1 / 80))
    assert (first != second).all()


def test_several_sequences_are_evaluated(checkpoint, tmp_path, capsys):
    assert not call_tool("evaluate", "--checkpoint", checkpoint, "--no_baselines", "--output", tmp_path)
    results = [json.loads((tmp_path / f"{name}_0.001-10m.json").read_text()) for name in ("sequence", "sequence_2")]
    scales = [result["results"]["model"]["scale_ratio_median"] for result in results]
    assert [result["images_evaluated"] for result in results] == [4, 4]
    assert results[1]["data_root"].endswith("other/color")
    # The network predicts nearly one sigmoid s: depth is 1 / (1 / high + s (1 / low - 1 / high)), truth 4 m and 8 m.
    expected = [truth * (1 / high + 0.5 * (1 / low - 1 / high)) for truth, low, high in ((4, 0.5, 20), (8, 1, 80))]
    np.testing.assert_allclose(scales, expected, rtol=0.05)
    assert "sequence_2" in capsys.readouterr().out
