#!/usr/bin/env python3
"""Trains a recipe in one process, or in several under torchrun; resumes a training that was interrupted.

  python tools/train.py [--config FILE] [KEY VALUE ...]
  torchrun --nproc_per_node=2 tools/train.py [--config FILE] [KEY VALUE ...]

Without --config it trains the sample recipe. KEY VALUE pairs, anywhere on the line, override any key of
mdtk/config/sections.py.
"""

from __future__ import annotations

import os

from mdtk.config import load_config
from mdtk.config.command_line import ToolParser
from mdtk.core.errors import run_tool
from mdtk.core.files import ROOT
from mdtk.training.train import train

SAMPLE = ROOT / "configs" / "sample" / "monodepth2.yaml"


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--config", help="a recipe, e.g. configs/kitti/monodepth2_mono_640x192.yaml")
    args = parser.parse_tool_args()
    if not args.config and os.environ.get("RANK", "0") == "0":
        print(f"no --config given: training the sample recipe {SAMPLE}", flush=True)
    train(load_config(args.config or SAMPLE, args.overrides))


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
