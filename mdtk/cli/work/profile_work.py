"""The work of `mdtk profile`."""

from __future__ import annotations

import argparse
import dataclasses
import json

from mdtk.config import load_config
from mdtk.config.machine import apply_float_settings
from mdtk.core.distributed import pick_device
from mdtk.core.environment import float_settings
from mdtk.core.files import write_text
from mdtk.inference.profile import classifier_parameters, part_costs, profile_system
from mdtk.models.system import build_model


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
    shape = (args.batch_size, cfg.DATA.HEIGHT, cfg.DATA.WIDTH)
    speeds = profile_system(system, pick_device(cfg.DEVICE), shape, warmup=args.warmup, repeats=args.repeats)
    for speed in speeds:
        print(
            f"{speed.name}: {speed.latency_ms_median:.1f} ms (90 % within {speed.latency_ms_p90:.1f} ms), "
            f"{speed.images_per_second:.1f} /s; batch {speed.batch_size}, {speed.precision}, {speed.device}; "
            f"peak memory {speed.peak_memory_mib:.0f} MiB ({speed.memory_of}); "
            f"{speed.repeats} runs after {speed.warmup} of warm-up"
        )
    if args.output:
        report = {
            "parts": costs,
            "classifier_parameters_left_out": head,
            "speeds": speeds,
            "float_settings": float_settings(),
        }
        write_text(args.output, json.dumps(report, default=dataclasses.asdict, indent=2) + "\n")
        print(f"wrote {args.output}")
