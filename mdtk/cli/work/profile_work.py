"""The work of `mdtk profile`."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from yacs.config import CfgNode

from mdtk.config import load_config
from mdtk.config.machine import apply_float_settings
from mdtk.core.distributed import pick_device
from mdtk.core.environment import float_settings
from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.inference.profile import Speed, classifier_parameters, part_costs, profile_onnx, profile_system
from mdtk.models import LoadedModel
from mdtk.models.system import DepthSystem, build_model


def speed_table(speeds: Sequence[Speed]) -> str:
    """A Markdown table, a line for each network, device and precision."""
    heads = ["network", "device", "precision", "batch", "median, ms", "90 % within, ms", "images/s", "peak memory, MiB"]
    rows = [heads, ["---"] * len(heads)]
    for one in speeds:
        times = [f"{one.latency_ms_median:.1f}", f"{one.latency_ms_p90:.1f}", f"{one.images_per_second:.1f}"]
        kind = [one.name, one.device, one.precision, str(one.batch_size)]
        rows.append([*kind, *times, f"{one.peak_memory_mib:.0f}"])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _measure_speeds(args: argparse.Namespace, cfg: CfgNode, system: DepthSystem) -> list[Speed]:
    """Each device by each precision, the CPU also by each number of threads; ONNX Runtime last."""
    if any(count < 1 for count in args.threads):
        raise MdtkError(f"--threads {' '.join(map(str, args.threads))}: a number of threads is at least 1")
    shape = (args.batch_size, cfg.DATA.HEIGHT, cfg.DATA.WIDTH)
    options = {"warmup": args.warmup, "repeats": args.repeats}
    devices = [pick_device(name) for name in args.devices or [cfg.DEVICE]]
    precisions = args.precisions or [system.precision]
    usual = torch.get_num_threads()
    threads = args.threads or [usual]
    speeds = []
    for device, precision in itertools.product(devices, precisions):
        system.precision = precision
        for count in threads if device.type == "cpu" else [usual]:
            torch.set_num_threads(count)
            speeds += profile_system(system, device, shape, **options)
    if args.onnx:
        system.precision = "fp32"
        model = LoadedModel(system.cpu(), cfg, "", Path("profile"), torch.device("cpu"))
        for count in threads:
            torch.set_num_threads(count)
            speeds.append(profile_onnx(model, shape, **options))
    torch.set_num_threads(usual)
    return speeds


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    cfg = load_config(args.config, [*args.overrides, "MODEL.PRETRAINED", "false"])  # costs do not depend on values
    apply_float_settings(cfg)
    system = build_model(cfg)
    costs = part_costs(system, cfg.DATA.HEIGHT, cfg.DATA.WIDTH)
    print(f"one image of {cfg.DATA.WIDTH}x{cfg.DATA.HEIGHT}")
    print(f"{'part':<16}{'parameters':>14}{'multiply-adds':>18}{'of them conv/matmul':>22}")
    for cost in costs:
        print(f"{cost.name:<16}{cost.parameters:>14,}{cost.multiply_adds:>18,}{cost.matrix_multiply_adds:>22,}")
    head = classifier_parameters(cfg.MODEL.ENCODER)
    if head:
        print(
            f"published counts of this encoder include {head:,} parameters of the ImageNet classifier, not built here"
        )
    speeds = _measure_speeds(args, cfg, system)
    print(f"\n{speed_table(speeds)}\n{args.repeats} runs after {args.warmup} of warm-up; memory: {speeds[0].memory_of}")
    if args.output:
        report = {
            "parts": costs,
            "classifier_parameters_left_out": head,
            "speeds": speeds,
            "float_settings": float_settings(),
        }
        write_text(args.output, json.dumps(report, default=dataclasses.asdict, indent=2) + "\n")
        print(f"wrote {args.output}")
