#!/usr/bin/env python3
"""CPU seconds of each metric on maps for one KITTI-sized image, and the valid pixels of it.

  python benchmarks/map_metrics.py [--repeats 5] [--json FILE]

A street-like depth of 375x1242 pixels, with as many valid pixels as projected laser points under Garg's crop leave
(4.5 %), and as KITTI's improved ground truth has (18 %). Medians of `time.process_time`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from mdtk.core.errors import run_tool
from mdtk.evaluation.scoring.map_metrics import MAP_METRICS, Maps

K = np.array([[721.5, 0, 609.6], [0, 721.5, 172.9], [0, 0, 1]])
SHARES = {"laser points under Garg's crop": 0.045, "improved ground truth": 0.18}


def street(share: float) -> Maps:
    """Ground truth, a prediction that is wrong by some percent, and a random choice of valid pixels."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0:375, 0:1242]
    gt = np.where(rows > 180, 600 / np.maximum(rows - 170, 10), 40 + 20 * np.sin(columns / 60))
    valid = generator.random(gt.shape) < share
    return Maps(gt, gt * (1 + 0.05 * np.sin(columns / 90)), valid, K)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", default="", help="also write the figures to this file")
    args = parser.parse_args()
    found = {}
    for title, share in SHARES.items():
        seen = street(share)
        found[title] = {"valid_pixels": int(seen.valid.sum())}
        for name, one in MAP_METRICS.items():
            times = []
            for _ in range(args.repeats):
                start = time.process_time()
                one.function(seen)
                times.append(time.process_time() - start)
            found[title][name] = statistics.median(times)
        print(f"{title}, {seen.valid.sum():,} pixels")
        print("".join(f"  {name:20} {value:.3f} s\n" for name, value in found[title].items() if name in MAP_METRICS))
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
