"""Makes Cityscapes' training triplets: frames two apart, resized, without their lower quarter, and their K.

After an interruption the same command continues: finished triplets are kept, and no incomplete file is left. What was
left out is reported with the reason and listed in <dump_root>/skipped.txt.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from mdtk.config.command_line import ToolParser
from mdtk.core.errors import MdtkError, run_tool
from mdtk.datasets.prepare.cityscapes_triplets import Options, Report, prepare


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--dataset_dir", required=True, help="Cityscapes: leftImg8bit_sequence/train and camera/train")
    parser.add_argument("--dump_root", required=True, help="folder to write, the root of cityscapes_prepared")
    parser.add_argument("--img_height", type=int, default=512, help="height of a resized frame before the cut, pixels")
    parser.add_argument("--img_width", type=int, default=1024, help="width of a resized frame, pixels")
    parser.add_argument("--seq_length", type=int, default=3, choices=[3], help="frames per file; training reads three")
    parser.add_argument("--num_threads", type=int, default=8, help="number of processes")
    args = parser.parse_tool_args(keys=[])
    if args.img_height < 4 or args.img_width < 1 or args.num_threads < 1:
        raise MdtkError("--img_height, --img_width and --num_threads must be positive")
    options = Options(Path(args.dataset_dir), Path(args.dump_root), args.img_height, args.img_width)
    report = Report()
    try:
        with tqdm(unit="job", disable=None) as bar, closing(prepare(options, args.num_threads)) as steps:
            for done, total, report in steps:  # noqa: B007
                bar.total = total
                bar.update(done - bar.n)
    except KeyboardInterrupt:
        print(f"{report.made} triplets made so far; the same command goes on", file=sys.stderr)
        raise
    print("\n".join(report.describe()))
    print(f"triplets are in {args.dump_root}")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
