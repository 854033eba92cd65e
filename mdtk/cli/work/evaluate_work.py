"""The work of `mdtk evaluate`."""

from __future__ import annotations

import argparse

from mdtk.cli.checkpoints import native_checkpoint, results_beside
from mdtk.evaluation.command import run


def main(args: argparse.Namespace) -> int:
    """Evaluates; gives 1 if a benchmark failed, which is said already."""
    if args.checkpoint:
        args.output = args.output or results_beside(args.checkpoint, "evaluation")
        args.checkpoint = str(native_checkpoint(args.checkpoint))
    return 1 if run(args) else 0
