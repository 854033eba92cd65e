"""The work of `mdtk data nyu_split`."""

from __future__ import annotations

import argparse
from functools import partial

from tqdm import tqdm

from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.datasets.prepare.nyu_split import Options, make_split
from mdtk.datasets.splits import as_text, text_path


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    if args.step < 1 or args.every < 1 or args.rate <= 0:
        raise MdtkError("--step, --every and --rate must be positive")
    train = args.output or text_path(args.data_path, "nyuv2/train")
    outputs = {"train": train, "val": train.with_name(train.name.replace("train", "val"))}
    if outputs["val"] == train:
        raise MdtkError(
            f"--output {train}: give a name with 'train' in it; the validation list takes 'val' in its place"
        )
    for path in outputs.values():
        if path.exists() and not args.overwrite:
            raise MdtkError(f"{path} is there already; give --overwrite, or another --output")
    options = Options(args.step, args.every, args.rate, args.min_motion, args.val_every)
    lines, summary = make_split(args.data_path, options, partial(tqdm, unit="scene", disable=None))
    if not lines["train"]:
        raise MdtkError(f"{args.data_path}/nyu_depth_v2: no target is left; see --help for the rule")
    print("\n".join(summary.describe()))
    for role, path in outputs.items():
        if lines[role]:
            write_text(path, as_text(lines[role]))
            print(f"{path}: {len(lines[role])} lines")
