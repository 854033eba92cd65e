"""Makes the training list of NYU Depth v2 (nine image paths per line) and a validation list from the raw folders."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tqdm import tqdm

from mdtk.config.command_line import ToolParser
from mdtk.core.errors import MdtkError, run_tool
from mdtk.core.files import write_text
from mdtk.datasets.prepare.nyu_split import RULE, Options, make_split
from mdtk.datasets.splits import as_text, text_path


def main() -> None:
    parser = ToolParser(__doc__, epilog=RULE)
    parser.add_argument("--data_path", required=True, type=Path, help="NYU root, with nyu_depth_v2/<scene>/")
    parser.add_argument("--output", type=Path, help="default: <data_path>/splits/nyuv2/train_files.txt, the root's own")
    parser.add_argument("--step", type=int, default=10, help="raw frames between neighbours (default 10)")
    parser.add_argument("--every", type=int, default=10, help="raw frames between targets (default 10)")
    parser.add_argument("--rate", type=float, default=30.0, help="raw frames per second (default 30)")
    parser.add_argument(
        "--min_motion",
        type=float,
        default=3.0,
        help="minimum grey difference, 0 ... 255 (default 3); 0 keeps static frames",
    )
    parser.add_argument(
        "--val_every", type=int, default=20, help="one of this many scenes is for validation (default 20); 0: none"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing lists")
    args = parser.parse_tool_args(keys=[])
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


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
