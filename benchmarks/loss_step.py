#!/usr/bin/env python3
"""What a training step costs beyond its networks, by what, and against the plain loss; all interleaved in one process.

  python benchmarks/loss_step.py [--config FILE] [--batch N] [--repeats N] [--compile loss|all] [--json FILE]
                                 [KEY VALUE ...]

networks   forward and backward of the networks of a step on its own inputs, a plain mean as the loss: the floor
step       a whole step: augmentation, views, networks, loss, backward, optimiser
prepare    augmentation and views alone
loss       the loss and its backward to what the networks said
plain      the same with LOSS computed the plain way (warped images, autograd), which keeps every image
memory     the most memory that tensors of the loss hold, in MiB, fused and plain (CPU; counted by torch's profiler)

--compile loss: also the plain loss through torch.compile. --compile all: also the networks through it, and a step as
SOLVER.COMPILE all makes it (on a CPU with the eager loss). Kernels are made first, which takes many minutes.

Prints medians of CPU seconds (of this process: other programs matter less) and of wall seconds, and ratios.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from ratios import Figure, measure, report
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from yacs.config import CfgNode

from mdtk.config import load_config
from mdtk.core.errors import run_tool
from mdtk.core.structures import Prediction
from mdtk.data.loader import build_synthetic_batch
from mdtk.data.preparation import build_preparation
from mdtk.losses.objective import build_objective
from mdtk.models import build_model
from mdtk.training.compiled import Compare, Predict, compile_calls, compile_loss
from mdtk.training.solver import build_optimizer
from mdtk.training.step import forward

BARS = {"hrnet_w18": 1.12}  # step to networks, by encoder
COMPILED_BAR = 1.12  # compiled step to the eager networks
Parts = dict[str, Callable[[], object]]


def leaves(prediction: Prediction) -> Prediction:
    """The same prediction without the networks' graph, with gradients of its own."""
    sigmoids = [{s: x.detach().requires_grad_() for s, x in view.items()} for view in prediction.sigmoids]
    motions = prediction.source_T_target_bs44.detach().requires_grad_()
    return dataclasses.replace(prediction, sigmoids=sigmoids, source_T_target_bs44=motions)


def outputs(prediction: Prediction) -> Tensor:
    """A mean over all that the networks say."""
    maps = [x.mean() for view in prediction.sigmoids for x in view.values()]
    return torch.stack([*maps, prediction.source_T_target_bs44.mean()]).sum()


def parts_of(cfg: CfgNode, batch_size: int, compiled: str) -> Parts:
    """What is timed."""
    system = build_model(cfg).train()
    optimizer, prepare, objective = build_optimizer(cfg, system), build_preparation(cfg), build_objective(cfg)
    batch = build_synthetic_batch(cfg, batch_size)
    inputs = prepare(batch)
    known = leaves(system(inputs))

    def networks(predict: Predict) -> None:
        outputs(predict(inputs)).backward()
        optimizer.zero_grad(set_to_none=True)

    def step(predict: Predict, compare: Compare) -> None:
        forward(predict, batch, prepare, compare).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def loss(compare: Compare) -> None:
        compare(inputs, known, False).total.backward()

    parts: Parts = {
        "networks": lambda: networks(system),
        "step": lambda: step(system, objective),
        "prepare": lambda: prepare(batch),
        "loss": lambda: loss(objective),
        "plain": lambda: loss(objective.with_photometric(fused=False)),
    }
    if compiled == "all":
        predict, compare = compile_calls("all", system, objective, print)
        parts |= {"compiled networks": lambda: networks(predict), "compiled step": lambda: step(predict, compare)}
    if compiled == "loss":
        fast = compile_loss(objective, torch.device("cpu"), print)
        parts["compiled loss"] = lambda: loss(fast)
    return parts


def peak_memory(part: Callable[[], object]) -> float:
    """The most MiB that `part` holds at once of what it allocates."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        part()
    held = most = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compile", choices=("loss", "all"), default="")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    cfg = load_config(args.config, ["DEVICE", "cpu", "MODEL.PRETRAINED", "false", *args.overrides])
    parts = parts_of(cfg, args.batch, args.compile)
    times = measure(parts, args.repeats)
    memory = {name: peak_memory(parts[name]) for name in ("loss", "plain")}
    encoder, size = cfg.MODEL.ENCODER, f"{cfg.DATA.WIDTH}x{cfg.DATA.HEIGHT}"
    print(f"{encoder}, {size}, batch {args.batch}, {torch.get_num_threads()} threads")
    for name, (cpu, _) in times.items():
        print(f"  {name:24} to networks {cpu / times['networks'][0]:.3f}")
    print(f"  the loss holds {memory['loss']:.0f} MiB at most, the plain one {memory['plain']:.0f} MiB")
    figures = {
        f"{encoder} step to networks": Figure.of(times, "step", "networks", BARS.get(encoder, 1.2)),
        f"{encoder} loss memory": Figure(memory["loss"] / memory["plain"], 0.5),
    }
    if args.compile == "all":
        name = f"{encoder} compiled step to eager networks"
        figures[name] = Figure.of(times, "compiled step", "networks", COMPILED_BAR)
    report(figures, times, args.json)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
