"""Every switch of benchmarks/switches.py is executed: two steps in this process, or a short training on the tiny world.

The second kind is for switches that work outside of a step (data, solver, set-up): each is told from the training
without it by what the training left behind.
"""

from __future__ import annotations

import contextlib
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.switches import SMALL, SWITCHES
from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.data.loader import build_synthetic_batch
from mdtk.data.preparation import build_preparation
from mdtk.losses.objective import build_objective
from mdtk.models import build_model
from mdtk.training.solver import build_optimizer
from mdtk.training.step import set_mode
from tests.helpers.step import forward_half
from tests.helpers.training import checkpoint, differing, records, train_here, weights

# The same networks at a third of the width would be other networks; so few pixels that each takes about a second.
TINY = "DATA.HEIGHT 32 DATA.WIDTH 64"
RATE = 3e-4  # of SMALL
Run = Callable[..., Path]  # (switch, further keys) → the folder of a training of two steps


@pytest.fixture(scope="module")
def run(tiny_world, tmp_path_factory) -> Run:
    """Trains a switch for two steps on the tiny world; the same request is trained once."""
    done: dict[tuple[str, ...], Path] = {}
    roots = [f"ROOTS.{key} {tiny_world / key.lower()}" for key in ("KITTI_RAW", "KITTI_ODOM")]

    def train(switch: str, *further: str) -> Path:
        pairs = shlex.split(f"{SMALL} {TINY} {' '.join(roots)} SOLVER.MAX_STEPS 2 {switch}")
        pairs = tuple([*pairs, "DATA.VAL_SPLIT", "", *further])
        if pairs not in done:
            out_dir = tmp_path_factory.mktemp("switch")
            with (out_dir / "console.txt").open("w") as console, contextlib.redirect_stdout(console):
                done[pairs] = train_here(out_dir, None, pairs)
        return done[pairs]

    return train


def losses(out_dir: Path) -> list[float]:
    return [record["total"] for record in records(out_dir, "train")]


def is_calibrated(run: Run, switch: str) -> None:
    """Every drive's own K: the first loss, of the same weights and images, is another one."""
    assert abs(losses(run(switch))[0] - losses(run(""))[0]) > 1e-6


def is_in_metres(run: Run, switch: str) -> None:
    """The other camera stands at 0.54 m instead of 0.1: the first loss is another one."""
    nominal = switch.replace("DATA.BASELINE 0.0", "")
    assert nominal != switch
    assert abs(losses(run(switch))[0] - losses(run(nominal))[0]) > 1e-6


def has_two_sets(run: Run, switch: str) -> None:
    """An epoch has all samples of the first set and half as many as the second has."""
    lengths = []
    for keys in ("", switch, "DATA.NAME kitti_odom DATA.TRAIN_SPLIT odom/train"):
        said = (run(keys, "SOLVER.BATCH_SIZE", "1") / "console.txt").read_text()
        lengths.append(int(re.search(r"epochs of (\d+) steps", said)[1]))
    first, both, second = lengths
    assert both == first + round(second / 2)


def has_average(run: Run, switch: str) -> None:
    """The checkpoint's networks are 0.9 of the first step's and 0.1 of the second's."""
    content = checkpoint(run(switch))
    after_one = weights(run("", "SOLVER.MAX_STEPS", "1"))
    after_two = weights(run(""))
    assert not differing(content["training"]["raw_model"], after_two)
    name = "depth.decoder.heads.0.conv.weight"
    expected = 0.9 * after_one[name] + 0.1 * after_two[name]
    torch.testing.assert_close(content["model"][name], expected, rtol=1e-6, atol=1e-8)
    assert not torch.equal(content["model"][name], after_two[name])


def moment(content: dict) -> float:
    """The gradient's norm, from Adam's first moment after one step (0.1 of the gradient)."""
    state = content["training"]["optimizer"]["state"]
    return 10 * torch.stack([entry["exp_avg"].double().norm() for entry in state.values()]).norm().item()


def accumulates_and_clips(run: Run, switch: str) -> None:
    """Every batch norm has seen two parts a step, and Adam a gradient of the norm that is asked for."""
    one_step, bound = ("SOLVER.MAX_STEPS", "1"), 0.05  # fresh networks' gradients here are shorter than 1
    switch = switch.replace("CLIP_GRAD 1.0", f"CLIP_GRAD {bound}")
    plain, switched = checkpoint(run("", *one_step)), checkpoint(run(switch, *one_step))
    counter = next(name for name in plain["model"] if name.endswith("num_batches_tracked") and "depth" in name)
    assert (plain["model"][counter].item(), switched["model"][counter].item()) == (1, 2)
    assert moment(plain) > 2 * bound
    assert moment(switched) == pytest.approx(bound, rel=1e-3)


def falls_as_a_cosine(run: Run, switch: str) -> None:
    """The rate of step i of 2 is LR (1 + cos(pi i / 2)) / 2; without the switch it stays."""
    rates = [record["lr"] for record in records(run(switch), "train")]
    assert rates == pytest.approx([RATE, RATE * (1 + math.cos(math.pi / 2)) / 2])
    assert [record["lr"] for record in records(run(""), "train")] == [RATE, RATE]


def starts_from_the_file(run: Run, switch: str) -> None:
    """Adam moves a weight by about the rate a step: the depth network is two steps from the file, and no other."""
    cfg = load_config(None, shlex.split(f"{SMALL} {TINY}"))
    torch.manual_seed(7)
    file = build_model(cfg).state_dict()
    path = run("") / "file.pth"
    torch.save({"format": "mdtk", "version": 1, "model": file}, path)
    trained, plain = weights(run(switch.format(weights=path))), weights(run(""))
    for name, near in (("depth.decoder.heads.0.conv.weight", True), ("pose.decoder.convs.0.weight", False)):
        assert ((trained[name] - file[name]).abs().max() < 3 * RATE) == near
        assert ((trained[name] - plain[name]).abs().max() < 5 * RATE) != near


# Switches that a step alone does not execute, and what tells that a training did.
IN_A_TRAINING: dict[str, Callable[[Run, str], None]] = {
    "calibrated intrinsics": is_calibrated,
    "stereo, baseline in metres": is_in_metres,
    "two data sets": has_two_sets,
    "EMA weights": has_average,
    "accumulation, clipping": accumulates_and_clips,
    "cosine schedule": falls_as_a_cosine,
    "depth network from a file": starts_from_the_file,
}


@pytest.mark.parametrize("name", IN_A_TRAINING)
def test_in_a_training(name, run):
    IN_A_TRAINING[name](run, SWITCHES[name])


@pytest.mark.parametrize("name", [name for name in SWITCHES if name not in IN_A_TRAINING])
def test_two_steps(name):
    """Every loss and weight is finite, and every trained parameter has a gradient."""
    cfg = load_config(None, shlex.split(f"{SMALL} {SWITCHES[name]} {TINY}"))
    torch.manual_seed(0)
    system = build_model(cfg)
    set_mode(system, cfg.MODEL.FREEZE_BN)
    optimizer = build_optimizer(cfg, system)
    batch = build_synthetic_batch(cfg, 2)
    for _ in range(2):
        losses = forward_half(cfg, system, batch)
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
    forward_half(cfg, system, build_synthetic_batch(cfg, 2)).total.backward()
    assert all(torch.equal(value, before[key]) for key, value in system.named_buffers())


def test_posecnn_translation_is_in_units_of_the_scene():
    """Twice the disparity, twice the translation (field facts 3.1: translation x mean inverse depth)."""
    cfg = load_config(None, shlex.split(f"{SMALL} {TINY} MODEL.POSE posecnn"))
    system = build_model(cfg).eval()
    inputs = build_preparation(cfg)(build_synthetic_batch(cfg, 1))
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
    inputs = prepare(build_synthetic_batch(cfg, 2))
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
