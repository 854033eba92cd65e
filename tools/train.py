#!/usr/bin/env python3
"""Trains a recipe in one process, or in several under torchrun; resumes a training that was interrupted.

  python tools/train.py [--config FILE] [KEY VALUE ...]
  python tools/train.py --nproc 2 [--config FILE] [KEY VALUE ...]
  torchrun --nproc_per_node=2 tools/train.py [--config FILE] [KEY VALUE ...]   (also over several machines)

SIGTERM and Ctrl-C finish the step and save; exit status 75 then means: run the same command again.

Without --config it trains the sample recipe. KEY VALUE pairs, anywhere on the line, override any key of
mdtk/config/sections.py.
"""

from __future__ import annotations

import os
import sys

from mdtk.config import load_config
from mdtk.config.command_line import ToolParser
from mdtk.core.errors import MdtkError, run_tool
from mdtk.core.files import ROOT
from mdtk.training.launch import launch
from mdtk.training.train import train

SAMPLE = ROOT / "configs" / "sample" / "monodepth2.yaml"


def main() -> int:
    parser = ToolParser(__doc__)
    parser.add_argument("--config", help="a recipe, e.g. configs/kitti/monodepth2_mono_640x192.yaml")
    parser.add_argument("--nproc", type=int, default=0, help="number of processes on this machine, one for each GPU")
    args = parser.parse_tool_args()
    if args.nproc < 0:
        raise MdtkError(f"--nproc is {args.nproc}; give the number of processes")
    if args.nproc and "RANK" not in os.environ:
        load_config(args.config or SAMPLE, args.overrides)  # what is wrong with it is said once, here
        return launch([sys.executable, *sys.argv], args.nproc)
    if not args.config and os.environ.get("RANK", "0") == "0":
        print(f"no --config given: training the sample recipe {SAMPLE}", flush=True)
    return train(load_config(args.config or SAMPLE, args.overrides))


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
