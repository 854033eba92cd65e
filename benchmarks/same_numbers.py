#!/usr/bin/env python3
"""Whether two checkouts compute the same numbers, to the last bit: losses of trainings and rows of evaluations.

  python benchmarks/same_numbers.py record before.json [--checkout DIR] [--checkpoint FILE.pth] [NAME ...]
  python benchmarks/same_numbers.py compare before.json after.json

`record` trains each recipe (the names of benchmarks/switches.py; default: the twelve below) for 20 steps with a fixed
seed in one process, and evaluates one checkpoint under every protocol of the sample world, through the checkout's own
tools.. `compare` prints what differs and ends with an error if anything does.
Run both sides on one machine with one torch. Needs the sample world in $MDTK_DATASETS or ./datasets.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout's benchmarks/ and tests/

from benchmarks.switches import SMALL, SWITCHES

HERE = Path(__file__).resolve().parent.parent
TWELVE = (
    *("mono", "mono + stereo", "two data sets", "Monodepth v1 multi-scale", "average reprojection", "predictive mask"),
    *("published corners", "pose: PoseCNN", "BDEdepth HRNet-18, both views", "geometry consistency"),
    *("learned intrinsics", "accumulation, clipping"),
)
PROTOCOLS = (
    *("kitti_eigen", "kitti_eigen/bdedepth", "kitti_eigen/packnet", "kitti_eigen/sc_depth", "kitti_eigen_benchmark"),
    *("kitti_eigen_benchmark/bdedepth", "nyuv2", "nyuv2/bdedepth", "make3d", "make3d/bdedepth", "cityscapes"),
    "cityscapes/bdedepth",
)
ALIGNMENTS = ("median", "none", "global_median", "scale", "scale_shift")


def run(checkout: Path, *command: str) -> None:
    """A tool of the checkout, on its own code."""
    env = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, *command], cwd=checkout, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed in {checkout}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")


def losses(checkout: Path, name: str, steps: int, folder: Path) -> list[dict[str, float]]:
    """Every scalar of every step of one recipe."""
    words = shlex.split(f"{SMALL} {SWITCHES[name]}")
    run(
        checkout,
        *("tools/train.py", "--config", "configs/sample/monodepth2.yaml", *words, "OUT_DIR", str(folder)),
        *("SOLVER.MAX_STEPS", str(steps), "CHECKPOINT.PERIOD", "0"),
    )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    ignored = ("time", "kind", "rate", "eta", "memory")
    return [{key: value for key, value in line.items() if key not in ignored} for line in lines]


def rows(checkout: Path, checkpoint: Path, alignment: str, folder: Path) -> dict[str, str]:
    """protocol, predictor, image and metric → value as text, of every row of every evaluation."""
    run(
        checkout,
        *("tools/evaluate.py", "--checkpoint", str(checkpoint), "--output", str(folder), "--alignment", alignment),
        *("--datasets", *PROTOCOLS),
    )
    found = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                label = " | ".join(row.pop(key, "") or "" for key in ("benchmark", "predictor", "name"))
                found |= {f"{alignment} | {path.stem} | {label} | {key}": value for key, value in row.items()}
    return found


def pictures(checkout: Path, checkpoint: Path, images: Path, folder: Path) -> dict[str, str]:
    """File → checksum of what prediction writes."""
    run(
        checkout,
        *("tools/test_simple.py", "--image_path", str(images), "--checkpoint", str(checkpoint)),
        *("--output", str(folder), "--save_npy", "--scale", "none"),
    )
    kept = [path for path in sorted(folder.iterdir()) if path.suffix in (".npy", ".png")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def record(args: argparse.Namespace) -> None:
    """Writes the numbers of one checkout."""
    home = Path(os.environ.get("MDTK_DATASETS", "datasets")).resolve()
    result: dict = {"losses": {}, "rows": {}, "pictures": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, switch in enumerate(args.names or TWELVE):
            result["losses"][switch] = losses(args.checkout, switch, args.steps, folder / f"run{number}")
            print(f"{switch}: {len(result['losses'][switch])} lines", flush=True)
        checkpoint = args.checkpoint or folder / "run0" / "last.pth"
        for alignment in () if args.names else ALIGNMENTS:
            result["rows"] |= rows(args.checkout, checkpoint.resolve(), alignment, folder / alignment)
            print(f"{alignment}: {len(result['rows'])} numbers", flush=True)
        if not args.names:
            drives = sorted((home / "sample" / "kitti_raw").glob("*/*/image_02/data"))
            result["pictures"] = pictures(args.checkout, checkpoint.resolve(), drives[0], folder / "pictures")
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def compare(args: argparse.Namespace) -> None:
    """Says what differs between two records."""
    left, right = (json.loads(path.read_text(encoding="utf-8")) for path in (args.left, args.right))
    differing = 0
    for switch in left["losses"]:
        for what in ("training", "validation"):
            pairs = [[one for one in side["losses"].get(switch, []) if ("val_loss" in one) == (what == "validation")]
                     for side in (left, right)]  # fmt: skip
            wrong = [key for a, b in zip(*pairs, strict=False) for key in a if a[key] != b.get(key)]
            equal = pairs[0] and not wrong and len(pairs[0]) == len(pairs[1])
            where = f", first {wrong[0]}" if wrong else "" if equal else ", lines missing"
            print(f"{switch:32} {what:11} {'equal' if equal else 'DIFFERS'} ({len(pairs[0])} lines{where})")
            differing += not equal
    for part in ("rows", "pictures"):
        wrong = [key for key, value in left[part].items() if right[part].get(key) != value]
        print(f"{part:32} {f'DIFFERS, first {wrong[0]}' if wrong else 'equal'} ({len(wrong)} of {len(left[part])})")
        differing += bool(wrong)
    if differing:
        sys.exit(f"error: {differing} parts differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    recorder = commands.add_parser("record")
    recorder.add_argument("output", type=Path)
    recorder.add_argument("names", nargs="*", help="only these recipes, and no evaluation")
    recorder.add_argument("--checkout", type=Path, default=HERE, help="whose code; default: this one")
    recorder.add_argument("--checkpoint", type=Path, help="to evaluate; default: what the first recipe trained")
    recorder.add_argument("--steps", type=int, default=20)
    recorder.set_defaults(function=record)
    comparer = commands.add_parser("compare")
    comparer.add_argument("left", type=Path)
    comparer.add_argument("right", type=Path)
    comparer.set_defaults(function=compare)
    args = parser.parse_args()
    args.function(args)


if __name__ == "__main__":
    main()
