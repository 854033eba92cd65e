#!/usr/bin/env python3
"""Trains a recipe, in one process or under torchrun in many, and resumes by itself.

  python tools/train.py [--config FILE] [KEY VALUE ...]
  torchrun --nproc_per_node=2 tools/train.py [--config FILE] [KEY VALUE ...]

Without --config it trains the sample recipe. KEY VALUE pairs override any key of mdtk/defaults.py.
"""

from __future__ import annotations

import argparse
import os

from mdtk.config import load_config
from mdtk.core.errors import run_tool
from mdtk.core.files import ROOT
from mdtk.training.train import train

SAMPLE = ROOT / "configs" / "sample" / "monodepth2.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="a recipe, e.g. configs/kitti/monodepth2_mono_640x192.yaml")
    parser.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="configuration keys to set")
    args = parser.parse_args()
    if not args.config and os.environ.get("RANK", "0") == "0":
        print(f"no --config given: training the sample recipe {SAMPLE}", flush=True)
    train(load_config(args.config or SAMPLE, args.overrides))


if __name__ == "__main__":
    run_tool(main)
