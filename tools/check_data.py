#!/usr/bin/env python3
"""Checks all data that a recipe would read, before the training starts.

  python tools/check_data.py [--config FILE] [KEY VALUE ...]

Lists missing or unreadable files, images that do not fit their calibration, test frames that training also sees, and
static frames. Without --config it checks the sample recipe. The exit status is 1 if training would fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from mdtk.config import load_config
from mdtk.config.command_line import ToolParser
from mdtk.core.errors import run_tool
from mdtk.core.files import ROOT
from mdtk.datasets.prepare.check_recipe import build_checks
from mdtk.evaluation.scoring.protocols import get_protocol


def progress(items: Iterable[Any], total: int) -> Iterable[Any]:
    """The items, with a progress bar."""
    return tqdm(items, total=total, unit="file", leave=False, disable=None)


def main() -> int:
    parser = ToolParser(__doc__)
    parser.add_argument("--config", help="a recipe, e.g. configs/kitti/monodepth2_mono_640x192.yaml")
    parser.add_argument("--quick", action="store_true", help="only check that files exist, without decoding them")
    args = parser.parse_tool_args()
    cfg = load_config(args.config or ROOT / "configs" / "sample" / "monodepth2.yaml", args.overrides)
    rows = [get_protocol(name) for name in cfg.EVAL.PROTOCOLS]
    tests = [(row.dataset, row.split, row.ground_truth) for row in rows]
    fatal, summaries = 0, []
    for checked in build_checks(cfg, tests, args.quick, progress):
        for finding in checked.findings:
            print(finding if finding.fatal else f"note: {finding}")
            fatal += finding.fatal
        summaries.append(checked.summary())
    print("\n".join(summaries))
    print(f"training would fail: {fatal} problems" if fatal else "training can start")
    return 1 if fatal else 0


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
