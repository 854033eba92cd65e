"""The work of `mdtk check`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm
from yacs.config import CfgNode

from mdtk.config import load_config
from mdtk.core.files import shipped
from mdtk.data.packing import build_packed
from mdtk.data.preparation import build_preparation
from mdtk.datasets.packed import PackedFrames
from mdtk.datasets.prepare.check_recipe import build_checks
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.scoring.protocols import get_protocol


def progress(items: Iterable[Any], total: int) -> Iterable[Any]:
    """The items, with a progress bar."""
    return tqdm(items, total=total, unit="file", leave=False, disable=None)


def main(args: argparse.Namespace) -> int:
    """Does what the command line asks."""
    cfg = load_config(args.config or shipped("configs") / "sample" / "monodepth2.yaml", args.overrides)
    rows = [get_protocol(name) for name in cfg.EVAL.PROTOCOLS]
    tests = [(row.dataset, row.split, row.ground_truth) for row in rows]

    def open_packed(node: CfgNode, split: str, reader: DatasetReader) -> PackedFrames | None:
        return build_packed(node, split, reader, build_preparation(cfg, augmented=split == node.TRAIN_SPLIT))

    fatal, summaries = 0, []
    told: set[str] = set()
    for checked in build_checks(cfg, tests, args.quick, progress, open_packed):
        for finding in checked.findings:
            text = str(finding) if finding.fatal else f"note: {finding}"
            if text not in told:  # the lists for training and validation may lack the same thing
                print(text)
                fatal += finding.fatal
            told.add(text)
        summaries.append(checked.summary())
    print("\n".join(summaries))
    print(f"training would fail: {fatal} problem{'s' * (fatal > 1)}" if fatal else "training can start")
    return 1 if fatal else 0
