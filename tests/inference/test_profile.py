"""Model facts: published counts, thop against torch's own counter, timing that states its conditions."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn

from mdtk.config import default_config
from mdtk.core.errors import MdtkError
from mdtk.core.files import ROOT
from mdtk.inference.profile import (
    classifier_parameters,
    measure,
    part_costs,
    profile_system,
    thop_multiply_adds,
    torch_multiply_adds,
)
from mdtk.models import build_model
from tests.helpers.tools import call_tool

NOT_MATRICES = (nn.BatchNorm2d, nn.PReLU, nn.Upsample)  # what thop counts beside convolutions in these networks


def recipe(**model):
    cfg = default_config()
    cfg.DATA.HEIGHT, cfg.DATA.WIDTH = 64, 96
    for key, value in model.items():
        cfg.MODEL[key] = value
    return cfg


BDEDEPTH = {"CONTEXT_STEM": True, "DECODER": "grid", "SCALES": [0]}


@pytest.mark.parametrize(
    ("model", "encoder", "decoder"),
    [
        ({}, 11_689_512, 3_152_724),
        ({"ENCODER": "resnet18", **BDEDEPTH}, 11_699_048, 6_775_636),
        ({"ENCODER": "hrnet18", "HRNET_FUSE": "bilinear", **BDEDEPTH}, 9_564_116, 634_084),
    ],
)
def test_published_parameter_counts(model, encoder, decoder):
    cfg = recipe(POSE="none", **model)
    cfg.DATA.SOURCES, cfg.DATA.STEREO = [], True
    costs = {cost.name: cost for cost in part_costs(build_model(cfg), 64, 96)}
    assert costs["depth.encoder"].parameters + classifier_parameters(cfg.MODEL.ENCODER) == encoder
    assert costs["depth.decoder"].parameters == decoder


@pytest.mark.parametrize("model", [{}, {"ENCODER": "hrnet18", "HRNET_FUSE": "bilinear", **BDEDEPTH}])
def test_thop_agrees_with_torch(model):
    """Convolutions alone: equal. With normalisation, activation and upsampling, thop's figure is a little above."""
    system = build_model(recipe(**model)).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        features = system.depth.encoder(image)
        pairs = [(system.depth.encoder, image), (system.depth.decoder, features)]
        for module, given in pairs:
            exact = torch_multiply_adds(module, given)
            assert exact > 0
            assert thop_multiply_adds(module, given, ignored=NOT_MATRICES) == exact
            assert exact <= thop_multiply_adds(module, given) < 1.05 * exact


def test_multiply_adds_of_a_known_convolution():
    conv = nn.Conv2d(3, 8, 3, padding=1)
    image = torch.rand(1, 3, 10, 20)
    assert thop_multiply_adds(conv, image) == torch_multiply_adds(conv, image) == 3 * 8 * 9 * 10 * 20


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ({}, ["depth.encoder", "depth.decoder", "pose.encoder", "pose.decoder"]),
        ({"POSE": "posecnn", "PREDICTIVE_MASK": True}, ["depth.encoder", "depth.decoder", "mask", "pose.decoder"]),
        ({"POSE": "shared"}, ["depth.encoder", "depth.decoder", "pose.decoder"]),
        (
            {"LEARN_INTRINSICS": True},
            ["depth.encoder", "depth.decoder", "pose.encoder", "pose.decoder", "intrinsics"],
        ),
    ],
)
def test_every_part_is_counted(model, parts):
    system = build_model(recipe(**model))
    before = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    costs = part_costs(system, 64, 96)
    assert [cost.name for cost in costs] == parts
    assert sum(cost.parameters for cost in costs) == sum(p.numel() for p in system.parameters())
    after = system.state_dict()
    assert after.keys() == before.keys(), "thop's counters must not stay in the model"
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_the_intrinsics_head_costs_its_two_layers():
    cost = part_costs(build_model(recipe(LEARN_INTRINSICS=True)), 64, 96)[-1]
    assert cost.name == "intrinsics"
    assert cost.parameters == 2 * (512 * 2 + 2)
    assert cost.multiply_adds == cost.matrix_multiply_adds == 2 * 512 * 2


def test_timing_counts_its_runs():
    runs = []
    speed = measure("sleep", lambda: runs.append(1), torch.device("cpu"), "fp32", (4, 32, 64), warmup=2, repeats=5)
    assert len(runs) == 7
    assert (speed.batch_size, speed.warmup, speed.repeats) == (4, 2, 5)
    assert 0 < speed.latency_ms_median <= speed.latency_ms_p90
    assert speed.images_per_second == pytest.approx(4e3 / speed.latency_ms_median)
    assert speed.peak_memory_mib > 10
    assert speed.device == "cpu, 1 thread"  # tests run on one
    with pytest.raises(MdtkError, match="at least 1"):
        measure("nothing", lambda: None, torch.device("cpu"), "fp32", (4, 32, 64), repeats=0)


def test_depth_and_motion_are_timed():
    speeds = profile_system(build_model(recipe()), torch.device("cpu"), (2, 64, 96), warmup=1, repeats=2)
    assert [speed.name for speed in speeds] == ["disparity", "motion of a pair"]


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import profile_model

    output = tmp_path / "facts.json"
    arguments = ["profile", "--repeats", "2", "--warmup", "1", "--output", str(output), "--precisions", "fp32", "bf16"]
    overrides = ["DATA.HEIGHT", "64", "DATA.WIDTH", "96", "DEVICE", "cpu", "MODEL.PRETRAINED", "true"]
    monkeypatch.setattr(sys, "argv", [*arguments, *overrides])
    profile_model.main()
    printed = capsys.readouterr().out
    assert "513,000 parameters of the ImageNet classifier" in printed
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    assert rows[0][:4] == ["network", "device", "precision", "batch"]
    assert [row[2:4] for row in rows[2:]] == [["fp32", "1"], ["fp32", "1"], ["bf16", "1"], ["bf16", "1"]]
    assert all(row[1].startswith("cpu") and float(row[4]) > 0 for row in rows[2:])
    report = json.loads(output.read_text())
    assert report["parts"][1]["parameters"] == 3_152_724
    assert report["speeds"][0]["repeats"] == 2


def test_a_line_for_each_number_of_threads(capsys):
    """In torch and in ONNX Runtime; the number of the process itself stays as it was."""
    pytest.importorskip("onnxruntime", reason="ONNX export is an extra: pip install mdtk-depth[onnx]")
    before = torch.get_num_threads()
    sizes = "DATA.HEIGHT", "64", "DATA.WIDTH", "96", "MODEL.POSE", "none", "DATA.STEREO", "true", "DATA.SOURCES", "[]"
    call_tool("profile_model", "--repeats", 2, "--warmup", 1, "--devices", "cpu", "--threads", 1, 2, "--onnx", *sizes)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.strip("| ").split(" | ")[:2] for line in lines if line.startswith("| disparity")]
    networks = "disparity", "disparity, ONNX Runtime"
    assert rows == [[name, device] for name in networks for device in ("cpu, 1 thread", "cpu, 2 threads")]
    assert torch.get_num_threads() == before
    with pytest.raises(MdtkError, match="--threads 2 0: a number of threads is at least 1"):
        call_tool("profile_model", "--threads", 2, 0, *sizes)
