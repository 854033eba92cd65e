#!/usr/bin/env python3
"""How far training is from its floors, as ratios measured in one run.

  python benchmarks/train_step.py [--config FILE] [--batch N] [--steps N] [KEY VALUE ...]

networks   forward and backward of the same networks on the same images, a plain mean as the loss: the floor of a step
step       a whole training step: augmentation, views, networks, warps, losses, backward, optimiser
decode     decoding the frames of a sample, nothing else: the floor of the loader (only with data)
sample     making a sample in the loader: decode, resize, draws (only with data)
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from mdtk.config import load_config
from mdtk.core.distributed import pick_device
from mdtk.core.errors import MdtkError, run_tool
from mdtk.data.loader import build_synthetic_batch, build_train_data
from mdtk.data.preparation import build_preparation
from mdtk.losses.objective import build_objective
from mdtk.models import build_model
from mdtk.training.solver import build_optimizer
from mdtk.training.step import forward


def median_seconds(function: Callable[[int], object], repeats: int, device: torch.device) -> float:
    """Median wall time of `function(i)` after two warm-up calls."""
    times = []
    for index in range(-2, repeats):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        function(index)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return sorted(times[2:])[repeats // 2]


def measure_step(cfg, batch_size: int, steps: int, device: torch.device) -> dict[str, float]:
    system = build_model(cfg).to(device).train()
    optimizer, prepare, objective = build_optimizer(cfg, system), build_preparation(cfg), build_objective(cfg)
    batch = build_synthetic_batch(cfg, batch_size)
    pinned = batch.pin_memory() if device.type == "cuda" else batch
    images = batch.frames_bn3hw.to(device).float() / 255

    def networks(_: int) -> None:
        # The networks that a step runs: depth of each view, and the motion of each pair.
        views = 1 + cfg.VIEWS.LOCAL_CROP + cfg.VIEWS.SPLIT_PERMUTE
        total = sum(d.mean() for _ in range(views) for d in system.sigmoids(system.features(images[:, 0])).values())
        if system.pose is not None:
            shared = (
                [system.features(image)[-1] for image in images.unbind(1)] if system.pose.kind == "shared" else None
            )
            total = total + sum(motion.mean() for motion in system.pose(images, system.offsets, shared)[:2])
        total.backward()
        optimizer.zero_grad(set_to_none=True)

    def step(_: int) -> None:
        forward(system, pinned.to(device), prepare, objective).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return {"networks": median_seconds(networks, steps, device), "step": median_seconds(step, steps, device)}


def measure_loader(cfg, count: int) -> dict[str, float]:
    dataset = build_train_data(cfg, 0, 1)[0].sets[0]
    cpu = torch.device("cpu")
    indices = [round(i * (len(dataset) - 1) / max(1, count - 1)) for i in range(count)]
    decode = median_seconds(lambda i: dataset.reader.images(indices[i], dataset.offsets), count, cpu)
    return {"decode": decode, "sample": median_seconds(lambda i: dataset[0, i, indices[i]], count, cpu)}


def say(floor: str, whole: str, times: dict[str, float]) -> None:
    low, high = times[floor] * 1e3, times[whole] * 1e3
    print(f"{floor:9}{low:9.2f} ms   {whole:7}{high:9.2f} ms   ratio {high / low:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    cfg = load_config(args.config, args.overrides)
    device = pick_device(cfg.DEVICE)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(
        f"{cfg.MODEL.ENCODER}, {cfg.DATA.WIDTH}x{cfg.DATA.HEIGHT}, batch {args.batch}, {cfg.SOLVER.PRECISION}, {where}"
    )
    times = measure_step(cfg, args.batch, args.steps, device)
    say("networks", "step", times)
    try:
        times = measure_loader(cfg, 24)
    except MdtkError as error:
        print(f"loader not measured: {error}")
        return
    say("decode", "sample", times)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
