"""Steps of every family of recipes on the GPU: like the CPU's, in both precisions, without a wait."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

import pytest
import torch
from yacs.config import CfgNode

from benchmarks.switches import SWITCHES
from mdtk.config import load_config
from mdtk.core.files import ROOT
from mdtk.data.loader import build_synthetic_batch
from mdtk.models import build_model
from mdtk.training.solver import build_average, build_optimizer
from tests.helpers.step import forward_half

SMALL = "DATA.HEIGHT 64 DATA.WIDTH 96 MODEL.PRETRAINED false LOSS.TIE_NOISE 0.0"
FAMILIES = {
    "mono": ("kitti/monodepth2_mono_640x192.yaml", ""),
    "stereo": ("kitti/monodepth2_stereo_640x192.yaml", ""),
    "mono + stereo, ResNet-50": ("kitti/monodepth2_mono_stereo_640x192.yaml", "MODEL.ENCODER resnet50"),
    "v1 multi-scale": ("kitti/ablation/v1_multiscale.yaml", ""),
    "predictive mask": ("kitti/ablation/predictive_mask.yaml", ""),
    "Paddle, second stage": ("kitti/paddle_stage2_1024x320.yaml", "MODEL.WEIGHTS '' MODEL.WEIGHTS_PARTS []"),
    "BDEdepth ResNet-18": ("kitti/bdedepth_resnet18_640x192.yaml", ""),
    "BDEdepth HRNet-18": ("cityscapes/bdedepth_hrnet18_512x192.yaml", ""),
    "video": ("sequence/my_video.yaml", ""),
    "PoseCNN": ("kitti/monodepth2_mono_640x192.yaml", SWITCHES["pose: PoseCNN"]),
    "shared pose, all frames": ("kitti/monodepth2_mono_640x192.yaml", SWITCHES["pose: shared, all frames"]),
    "geometry consistency": ("kitti/monodepth2_mono_640x192.yaml", SWITCHES["geometry consistency"]),
    "learned intrinsics": ("kitti/monodepth2_mono_640x192.yaml", SWITCHES["learned intrinsics"]),
    "channels last": ("kitti/monodepth2_mono_640x192.yaml", "SOLVER.CHANNELS_LAST true"),
}


@pytest.fixture(autouse=True)
def exact_float32() -> Iterator[None]:
    """Without TF32, so that the GPU may be compared with the CPU."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def recipe(name: str, *pairs: str) -> CfgNode:
    path, switch = FAMILIES[name]
    return load_config(ROOT / "configs" / path, [*shlex.split(f"{SMALL} {switch}"), *pairs])


@contextlib.contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """A wait for the GPU is an error of CUDA's own."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def steps(cfg: CfgNode, device: torch.device, count: int) -> list[float]:
    """Losses of `count` optimiser steps on one batch; the last step may not wait for the device."""
    torch.manual_seed(0)
    system = build_model(cfg).to(device).train()
    optimizer, average = build_optimizer(cfg, system), build_average(cfg, system)
    batch = build_synthetic_batch(cfg, 2)
    batch = (batch.pin_memory() if device.type == "cuda" else batch).to(device)
    totals = []
    for step in range(count):
        with no_waiting(device) if step == count - 1 else contextlib.nullcontext():
            loss = forward_half(cfg, system, batch).total
            loss.backward()
            optimizer.step()
            if average is not None:
                average.update(system)
            missing = [name for name, parameter in system.named_parameters() if parameter.grad is None]
            optimizer.zero_grad(set_to_none=True)
        assert not missing
        assert loss.device.type == device.type
        assert loss.dtype == torch.float32
        totals.append(loss.detach())
    assert all(torch.isfinite(parameter).all() for parameter in system.parameters())
    return [total.item() for total in totals]


@pytest.mark.parametrize("name", FAMILIES)
def test_float32(name, device):
    """Finite, without a wait, and the first loss is the CPU's."""
    losses = steps(recipe(name), device, 3)
    assert all(map(torch.isfinite, torch.tensor(losses)))
    on_cpu = steps(recipe(name), torch.device("cpu"), 1)
    assert losses[0] == pytest.approx(on_cpu[0], rel=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16(name, device):
    """Near the loss of float32: the networks are rounded, geometry and losses are not."""
    losses = steps(recipe(name, "SOLVER.PRECISION", "bf16"), device, 3)
    full = steps(recipe(name), device, 1)
    assert losses[0] == pytest.approx(full[0], rel=3e-2)
    assert losses[0] != full[0]


def test_average_follows_without_a_wait(device):
    assert len(steps(recipe("mono", "SOLVER.EMA", "0.9"), device, 3)) == 3
