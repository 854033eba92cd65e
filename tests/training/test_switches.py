"""Every switch of benchmarks/switches.py takes two steps in this process; every trained parameter has a gradient."""

from __future__ import annotations

import shlex

import pytest
import torch

from benchmarks.switches import SMALL, SWITCHES
from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.data.loader import synthetic_batch
from mdtk.data.preparation import build_preparation
from mdtk.losses.objective import build_objective
from mdtk.models import build_model
from mdtk.training.solver import build_optimizer
from mdtk.training.step import forward, set_mode

# The same networks at a third of the width would be other networks; so few pixels that each takes about a second.
TINY = "DATA.HEIGHT 32 DATA.WIDTH 64"


@pytest.mark.parametrize("name", SWITCHES)
def test_two_steps(name):
    cfg = load_config(None, shlex.split(f"{SMALL} {SWITCHES[name]} {TINY}"))
    torch.manual_seed(0)
    system = build_model(cfg)
    set_mode(system, cfg.MODEL.FREEZE_BN)
    optimizer, prepare, objective = build_optimizer(cfg, system), build_preparation(cfg), build_objective(cfg)
    batch = synthetic_batch(cfg, 2)
    for _ in range(2):
        losses = forward(system, batch, prepare, objective)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    assert torch.isfinite(losses.total)
    # DDP runs without find_unused_parameters: none may be left out of the graph.
    assert not [key for key, parameter in system.named_parameters() if parameter.grad is None]
    assert all(torch.isfinite(parameter).all() for parameter in system.parameters())


def test_frozen_statistics_stay():
    cfg = load_config(None, shlex.split(f"{SMALL} {TINY} MODEL.FREEZE_BN true"))
    system = build_model(cfg)
    set_mode(system, True)
    before = {key: value.clone() for key, value in system.named_buffers()}
    forward(system, synthetic_batch(cfg, 2), build_preparation(cfg), build_objective(cfg)).total.backward()
    assert all(torch.equal(value, before[key]) for key, value in system.named_buffers())


def test_posecnn_translation_is_in_units_of_the_scene():
    """Twice the disparity, twice the translation (field facts 3.1: translation x mean inverse depth)."""
    cfg = load_config(None, shlex.split(f"{SMALL} {TINY} MODEL.POSE posecnn"))
    system = build_model(cfg).eval()
    inputs = build_preparation(cfg)(synthetic_batch(cfg, 1))
    features = system.features(inputs.views[0].input_bchw)
    low, high = 1 / cfg.MODEL.MAX_DEPTH, 1 / cfg.MODEL.MIN_DEPTH
    sigmoids = [torch.full((1, 1, 32, 64), (disparity - low) / (high - low)) for disparity in (1.0, 2.0)]
    one, two = (system.motions(inputs, features, sigmoid)[0] for sigmoid in sigmoids)
    forward_pose = 1  # the later source is not inverted
    torch.testing.assert_close(two[:, forward_pose, :3, 3], 2 * one[:, forward_pose, :3, 3])
    torch.testing.assert_close(two[:, forward_pose, :3, :3], one[:, forward_pose, :3, :3])


SEVERAL = f"{SMALL} {TINY} MODEL.INPUT_OFFSETS [-1,0] "


@pytest.mark.parametrize("more", ["", "VIEWS.LOCAL_CROP true VIEWS.SPLIT_PERMUTE true", "MODEL.POSE posecnn"])
def test_the_depth_network_sees_several_frames(more):
    """The earlier frame changes the depth, and every parameter trains."""
    cfg = load_config(None, shlex.split(SEVERAL + more))
    system, prepare = build_model(cfg), build_preparation(cfg)
    assert system.input_offsets == (-1, 0)
    inputs = prepare(synthetic_batch(cfg, 2))
    image = inputs.views[0].input_bchw
    assert image.shape == (2, 6, 32, 64)
    build_objective(cfg)(inputs, system(inputs)).total.backward()
    assert not [key for key, parameter in system.named_parameters() if parameter.grad is None]
    system.eval()
    with torch.no_grad():
        other = torch.cat([1 - image[:, :3], image[:, 3:]], 1)
        sigmoids = [system.sigmoids(system.features(stack))[0] for stack in (image, other)]
    assert not torch.equal(*sigmoids)


@pytest.mark.parametrize("more", ["MODEL.POSE shared", "LOSS.GEOMETRY_CONSISTENCY 0.5"])
def test_what_needs_single_frames_is_refused(more):
    with pytest.raises(MdtkError, match=r"set MODEL\.INPUT_OFFSETS \[0\]"):
        build_model(load_config(None, shlex.split(SEVERAL + more)))
