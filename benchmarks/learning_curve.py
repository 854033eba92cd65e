#!/usr/bin/env python3
"""Whether the fast loss learns what the plain one learns: the same short trainings with both, over several seeds.

  python benchmarks/learning_curve.py [--seeds 1 2 3] [--json FILE] [KEY VALUE ...]

Trains configs/sample/monodepth2.yaml at 96x32 with a small encoder for each seed, with the loss in few passes
(`fused`) and with the plain one (warped images, autograd), and prints the training loss of every 10 steps and the last
validation loss: mean and standard deviation over the seeds, and of the differences seed by seed.
Needs the sample world in $MDTK_DATASETS or ./datasets.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from yacs.config import CfgNode

from mdtk.config import load_config
from mdtk.core.errors import MdtkError, run_tool
from mdtk.core.files import ROOT
from mdtk.losses.objective import Objective, build_objective
from mdtk.training import prepare
from mdtk.training.train import train

RECIPE = ROOT / "configs" / "sample" / "monodepth2.yaml"
SMALL = (
    *("DEVICE", "cpu", "DATA.HEIGHT", "32", "DATA.WIDTH", "96", "DATA.WORKERS", "0", "DATA.VAL_LIMIT", "16"),
    *("MODEL.ENCODER", "mobilenetv3_small_100", "MODEL.POSE_ENCODER", "mobilenetv3_small_100"),
    *("SOLVER.BATCH_SIZE", "4", "SOLVER.MAX_STEPS", "40", "EVAL.PROTOCOLS", "[]", "LOG.TENSORBOARD", "false"),
    *("LOG.IMAGES", "0", "LOG.PERIOD", "10", "CHECKPOINT.PERIOD", "0"),
)
Curve = dict[str, float]  # what was measured → value


def learn(seed: int, fused: bool, overrides: list[str]) -> Curve:
    """What one training says of itself."""

    def build(cfg: CfgNode) -> Objective:
        return build_objective(cfg).with_photometric(fused=fused)

    with tempfile.TemporaryDirectory() as folder:
        keys = [*SMALL, *overrides, "SEED", str(seed), "OUT_DIR", folder]
        prepare.build_objective = build
        if train(load_config(RECIPE, keys)):
            raise MdtkError("a signal ended the training; run the comparison again")
        lines = list(map(json.loads, (Path(folder) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()))
    curve = {f"loss to step {line['step']}": line["total"] for line in lines if line["kind"] == "train"}
    return curve | {name: lines[-1][name] for name in lines[-1] if name.endswith(("val_loss", "/abs_rel"))}


def table(curves: dict[str, list[Curve]]) -> list[str]:
    """Markdown: a row for each number."""
    rows = [f"| | {' | '.join(curves)} | difference |", "|---|---|---|---|"]
    for name in curves["fused"][0]:
        ours, theirs = ([curve[name] for curve in side] for side in (curves["fused"], curves["plain"]))
        cells = [spread(ours), spread(theirs), spread([a - b for a, b in zip(ours, theirs, strict=True)])]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--json", type=Path, help="also write every number here")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    curves = {
        name: [learn(seed, name == "fused", args.overrides) for seed in args.seeds] for name in ("fused", "plain")
    }
    print("\n".join(table(curves)))
    if args.json:
        args.json.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
