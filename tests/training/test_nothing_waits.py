"""No step of any recipe waits for the GPU or mixes devices: its forward half on fake CUDA tensors, at full size."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from yacs.config import CfgNode

from benchmarks.switches import SWITCHES
from mdtk.config import load_config
from mdtk.core.files import ROOT
from mdtk.data.batch import Batch
from mdtk.data.loader import build_synthetic_batch
from mdtk.models import build_model
from tests.helpers.fake_cuda import FakeCuda, WaitsForTheDevice
from tests.helpers.step import forward_half

CONFIGS = ROOT / "configs"
RECIPES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "base")
# What no recipe asks for
FURTHER = (
    *("geometry consistency", "learned intrinsics", "pose: shared encoder", "pose: PoseCNN", "pose: all frames"),
    *("average reprojection", "stereo", "no automask"),
)
MONO = CONFIGS / "kitti" / "monodepth2_mono_640x192.yaml"


def fake_step(cfg: CfgNode, change: Callable[[nn.Module], None] = lambda system: None) -> Tensor:
    """The loss of a fake batch on fake networks, which `change` may have spoilt."""
    mode = FakeCuda()
    with torch.device("meta"):
        system = build_model(cfg)
    mode.move(system).train()
    change(system)
    batch = on_cuda(build_synthetic_batch(cfg, 2), mode)
    with mode:
        return forward_half(cfg, system, batch).total


def on_cuda(batch: Batch, mode: FakeCuda) -> Batch:
    """The batch with what `Batch.to` moves on fake CUDA tensors."""
    moved = batch.to("meta")

    def faked(before: object, after: object) -> object:
        if isinstance(before, dict):
            return {name: faked(value, after[name]) for name, value in before.items()}
        return mode.to_cuda(before) if isinstance(after, Tensor) and after.device.type == "meta" else before

    names = [field.name for field in dataclasses.fields(batch)]
    return dataclasses.replace(batch, **{name: faked(getattr(batch, name), getattr(moved, name)) for name in names})


@pytest.mark.parametrize("recipe", RECIPES, ids=[str(path.relative_to(CONFIGS)) for path in RECIPES])
def test_recipe(recipe):
    loss = fake_step(load_config(recipe, ["MODEL.PRETRAINED", "false"]))
    assert loss.device.type == "cuda"
    assert loss.requires_grad


@pytest.mark.parametrize("name", FURTHER)
def test_switch(name):
    small = "DATA.HEIGHT 64 DATA.WIDTH 96 MODEL.PRETRAINED false"
    assert fake_step(load_config(MONO, shlex.split(f"{small} {SWITCHES[name]}"))).device.type == "cuda"


SPOILT = {
    "item": (lambda out: out * out.mean().item(), DataDependentOutputException),
    "float": (lambda out: out * float(out.detach().mean()), DataDependentOutputException),
    "tolist": (lambda out: out * out.mean((1, 2, 3)).tolist()[0], DataDependentOutputException),
    "bool": (lambda out: out if out.mean() > 0 else -out, DataDependentOutputException),
    "equal": (lambda out: out if torch.equal(out, out) else -out, DataDependentOutputException),
    "nonzero": (lambda out: out + out.nonzero().shape[0], DynamicOutputShapeException),
    "boolean index": (lambda out: out + out[out > 0].mean(), DynamicOutputShapeException),
    "cpu": (lambda out: out + out.detach().cpu().mean(), WaitsForTheDevice),
    "copy to the host": (lambda out: out + torch.empty(out.shape).copy_(out.detach()).mean(), WaitsForTheDevice),
    "a tensor of the host": (lambda out: out + torch.ones(out.shape[-1]), RuntimeError),
    "an index table on the host": (lambda out: torch.gather(out, 1, torch.zeros(out.shape).long()), RuntimeError),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_step_is_caught(name):
    function, error = SPOILT[name]

    def spoil(system: nn.Module) -> None:
        first = next(module for module in system.modules() if isinstance(module, nn.Conv2d))
        first.register_forward_hook(lambda module, inputs, out: function(out))

    with pytest.raises(error):
        fake_step(load_config(MONO, ["MODEL.PRETRAINED", "false"]), spoil)


def test_a_forgotten_buffer_is_caught():
    """A constant that is a plain attribute stays where it was made."""

    def forget(system: nn.Module) -> None:
        first = next(module for module in system.modules() if isinstance(module, nn.Conv2d))
        first.mean = torch.full((3, 1, 1), 0.45)
        first.register_forward_pre_hook(lambda module, inputs: (inputs[0] - module.mean,))

    with pytest.raises(RuntimeError, match="device"):
        fake_step(load_config(MONO, ["MODEL.PRETRAINED", "false"]), forget)
