#!/usr/bin/env python3
"""What one GPU makes of a training: its step in bfloat16 with kernels of torch.compile, its loader, an epoch's time.

  python benchmarks/gpu.py [--config FILE] [--workers N] [--steps N] [--repeats N] [--frames N] [--json FILE]
                           [KEY VALUE ...]

float32, eager       steps on a batch on the device: ResNet-18, 640x192, batch 12 unless a recipe or key says else
bf16, compiled       the same with SOLVER.PRECISION bf16 SOLVER.COMPILE all
bf16, from loader    the same, each batch from DATA.WORKERS workers that read a packed copy

Give DATA.PACKED with the recipe and its ROOTS to read a copy of your own; else one of made frames is packed, which the
page cache holds. The idle share is the part of a step that the loader adds, and an epoch has Zhou's 39,810 samples.
DEVICE cpu tries the script on a CPU, with a small DATA.WIDTH and DATA.HEIGHT.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from item import DRIVE, make_drive
from ratios import Figure, measure, report
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from mdtk.config import load_config
from mdtk.config.machine import apply_float_settings
from mdtk.core.distributed import pick_device
from mdtk.core.errors import run_tool
from mdtk.data.batch import Batch
from mdtk.data.loader import build_loader, build_synthetic_batch, build_train_data
from mdtk.data.packing import build_jobs
from mdtk.data.preparation import build_preparation
from mdtk.losses.objective import build_objective
from mdtk.models import build_model
from mdtk.training.compiled import compile_calls
from mdtk.training.solver import build_optimizer
from mdtk.training.step import forward

FASTER, IDLE, MINUTES = 2.5, 0.05, 6.0  # the bars
EPOCH = 39_810  # samples of Zhou's training split
WARM_UP = 3


def build_step(cfg: CfgNode, device: torch.device) -> Callable[[Batch], None]:
    """One optimiser step on a batch; it does not wait for the device."""
    system = build_model(cfg).to(device).train()
    optimizer, prepare = build_optimizer(cfg, system), build_preparation(cfg)
    predict, compare = compile_calls(cfg.SOLVER.COMPILE, system, build_objective(cfg), print)

    def step(batch: Batch) -> None:
        forward(predict, batch.to(device), prepare, compare).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def finish(device: torch.device) -> None:
    """Waits for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def made_copy(root: Path, frames: int) -> list[str]:
    """Keys of a packed copy of made frames; `pack` makes it."""
    images = root / DRIVE / "image_02" / "data"
    images.mkdir(parents=True)
    make_drive(images, frames)
    (root / "list.txt").write_text("".join(f"{DRIVE} {number + 1} l\n" for number in range(frames - 2)))
    keys = ["ROOTS.KITTI_RAW", str(root), "DATA.TRAIN_SPLIT", str(root / "list.txt"), "DATA.VAL_SPLIT", ""]
    return [*keys, "DATA.PACKED", str(root / "packed")]


def build_batches(cfg: CfgNode, device: torch.device) -> Iterator[Batch]:
    """The batches of a training, without an end."""
    dataset, sampler = build_train_data(cfg, 0, 1)
    sampler.stop_step = 1 << 40
    loader: DataLoader = build_loader(dataset, sampler, cfg.DATA.WORKERS, device)
    return iter(loader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config")
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--steps", type=int, default=50, help="in a turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--frames", type=int, default=122, help="of the made drive")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    keys = ["MODEL.PRETRAINED", "false", "DATA.WORKERS", str(args.workers), *args.overrides]
    with tempfile.TemporaryDirectory() as folder:
        if not load_config(args.config, keys).DATA.PACKED:
            keys += made_copy(Path(folder), args.frames)
            for job in build_jobs(load_config(args.config, keys)):
                job.run(0, lambda entries: entries)
        plain, quick = (
            load_config(args.config, [*keys, "SOLVER.PRECISION", precision, "SOLVER.COMPILE", compiled])
            for precision, compiled in (("fp32", "none"), ("bf16", "all"))
        )
        apply_float_settings(plain)
        device, size = pick_device(plain.DEVICE), plain.SOLVER.BATCH_SIZE
        fixed, batches = build_synthetic_batch(plain, size).to(device), build_batches(quick, device)
        eager, fast = build_step(plain, device), build_step(quick, device)
        for _ in range(WARM_UP):
            eager(fixed)
            fast(fixed)
            fast(next(batches))

        def turn(step: Callable[[Batch], None], source: Callable[[], Batch]) -> Callable[[], None]:
            def make() -> None:
                for _ in range(args.steps):
                    step(source())
                finish(device)

            return make

        parts = {
            "float32, eager": turn(eager, lambda: fixed),
            "bf16, compiled": turn(fast, lambda: fixed),
            "bf16, from loader": turn(fast, lambda: next(batches)),
        }
        finish(device)
        times = measure(parts, args.repeats)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{plain.MODEL.ENCODER}, {plain.DATA.WIDTH}x{plain.DATA.HEIGHT}, batch {size}, {args.steps} steps on {where}")
    walls = {name: wall / args.steps for name, (_, wall) in times.items()}
    loaded, alone = walls["bf16, from loader"], walls["bf16, compiled"]
    figures = {
        "float32 eager to bf16 compiled": Figure(walls["float32, eager"] / alone, FASTER, "higher"),
        "idle share with the loader": Figure(1 - alone / loaded, IDLE),
        f"minutes for {EPOCH} samples": Figure(EPOCH / size * loaded / 60, MINUTES),
    }
    report(figures, times, args.json)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
