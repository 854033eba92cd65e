#!/usr/bin/env python3
"""What a training step costs beyond its networks, by what, and against the plain loss; all interleaved in one process.

  python benchmarks/loss_step.py [--config FILE] [--batch N] [--repeats N] [--json FILE] [KEY VALUE ...]

networks   forward and backward of the networks of a step on its own inputs, a plain mean as the loss: the floor
step       a whole step: augmentation, views, networks, loss, backward, optimiser
prepare    augmentation and views alone
loss       the loss and its backward to what the networks said
plain      the same with LOSS computed the plain way (warped images, autograd), which keeps every image
memory     the most memory that tensors of the loss hold, in MiB, fused and plain (CPU; counted by torch's profiler)

Prints medians of CPU seconds (of this process: other programs matter less) and of wall seconds, and ratios. `--json`
writes {"resnet18 step to networks": {"ratio", "bar", "better", …}, …}, as benchmarks/check_ratios.py reads it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from yacs.config import CfgNode

from mdtk.config import load_config
from mdtk.core.errors import run_tool
from mdtk.core.structures import Inputs, Prediction
from mdtk.data.loader import build_synthetic_batch
from mdtk.data.preparation import build_preparation
from mdtk.losses.objective import Objective, build_objective
from mdtk.models import build_model
from mdtk.training.solver import build_optimizer
from mdtk.training.step import forward

BARS = {"hrnet_w18": 1.12}  # step to networks, by encoder
Times = dict[str, tuple[float, float]]  # name → CPU seconds and wall seconds, medians


def measure(parts: dict[str, Callable[[], object]], repeats: int) -> Times:
    """Every part once in each of `repeats` rounds, after a round to warm up."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
    for _ in range(repeats + 1):
        for name, part in parts.items():
            start = time.process_time(), time.perf_counter()
            part()
            found[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
    return {
        name: (statistics.median(cpu for cpu, _ in times[1:]), statistics.median(wall for _, wall in times[1:]))
        for name, times in found.items()
    }


def leaves(prediction: Prediction) -> Prediction:
    """The same prediction without the networks' graph, with gradients of its own."""
    sigmoids = [{s: x.detach().requires_grad_() for s, x in view.items()} for view in prediction.sigmoids]
    motions = prediction.source_T_target_bs44.detach().requires_grad_()
    return dataclasses.replace(prediction, sigmoids=sigmoids, source_T_target_bs44=motions)


def outputs(prediction: Prediction) -> Tensor:
    """A mean over all that the networks say."""
    maps = [x.mean() for view in prediction.sigmoids for x in view.values()]
    return torch.stack([*maps, prediction.source_T_target_bs44.mean()]).sum()


def parts_of(cfg: CfgNode, batch_size: int) -> tuple[dict[str, Callable[[], object]], dict[str, Callable[[], object]]]:
    """What is timed, and the losses whose memory is counted."""
    system = build_model(cfg).train()
    optimizer, prepare, objective = build_optimizer(cfg, system), build_preparation(cfg), build_objective(cfg)
    batch = build_synthetic_batch(cfg, batch_size)
    inputs = prepare(batch)
    known = leaves(system(inputs))

    def networks() -> None:
        outputs(system(inputs)).backward()
        optimizer.zero_grad(set_to_none=True)

    def step() -> None:
        forward(system, batch, prepare, objective).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    fused = loss_of(objective, inputs, known)
    plain = loss_of(objective.with_photometric(fused=False), inputs, known)
    timed = {"networks": networks, "step": step, "prepare": lambda: prepare(batch), "loss": fused, "plain": plain}
    return timed, {"loss": fused, "plain": plain}


def loss_of(objective: Objective, inputs: Inputs, prediction: Prediction) -> Callable[[], object]:
    return lambda: objective(inputs, prediction).total.backward()


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
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    cfg = load_config(args.config, ["DEVICE", "cpu", "MODEL.PRETRAINED", "false", *args.overrides])
    timed, losses = parts_of(cfg, args.batch)
    times = measure(timed, args.repeats)
    memory = {name: peak_memory(part) for name, part in losses.items()}
    print(
        f"{cfg.MODEL.ENCODER}, {cfg.DATA.WIDTH}x{cfg.DATA.HEIGHT}, batch {args.batch}, "
        f"{torch.get_num_threads()} threads"
    )
    for name, (cpu, wall) in times.items():
        print(f"{name:9} CPU {cpu:7.3f} s   wall {wall:7.3f} s   to networks {cpu / times['networks'][0]:.3f}")
    ratio = memory["loss"] / memory["plain"]
    print(f"memory    loss {memory['loss']:.0f} MiB   plain {memory['plain']:.0f} MiB   ratio {ratio:.2f}")
    if args.json:
        step = {"ratio": times["step"][0] / times["networks"][0], "better": "lower"}
        step["bar"] = BARS.get(cfg.MODEL.ENCODER, 1.2)
        held = {"ratio": ratio, "bar": 0.5, "better": "lower", "parts": {f"{k}_mib": v for k, v in memory.items()}}
        parts = {name: {"cpu_s": cpu, "wall_s": wall} for name, (cpu, wall) in times.items()}
        figures = {
            f"{cfg.MODEL.ENCODER} step to networks": {**step, "parts": parts},
            f"{cfg.MODEL.ENCODER} loss memory": held,
        }
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
