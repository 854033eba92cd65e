"""The work of `mdtk train`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mdtk.cli.checkpoints import native_checkpoint
from mdtk.config import load_config
from mdtk.core.distributed import launched_as_main
from mdtk.core.files import shipped
from mdtk.training.train import train

SAMPLE = shipped("configs") / "sample" / "monodepth2.yaml"


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    if not args.config and launched_as_main():
        print(f"no --config given: training the sample recipe {SAMPLE}", flush=True)
    train(load_config(args.config or SAMPLE, native_weights(args.overrides)))


def native_weights(overrides: Sequence[str]) -> list[str]:
    """The pairs, with the MODEL.WEIGHTS of a published checkpoint replaced by its conversion."""
    words = list(overrides)
    for place in range(0, len(words), 2):
        if words[place] == "MODEL.WEIGHTS" and words[place + 1]:
            words[place + 1] = str(native_checkpoint(words[place + 1], partial=True))
    return words
