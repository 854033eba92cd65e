"""Writes a split list in Monodepth2's text form: one entry a line.

Published lists come from the project's compact form. Test lists keep their published order; training lists are in any
order.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdtk.config.command_line import ToolParser
from mdtk.core.errors import run_tool
from mdtk.core.files import write_text
from mdtk.datasets.compact_splits import names
from mdtk.datasets.splits import as_text, kitti_archives, load_split


def main() -> None:
    parser = ToolParser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--split", help=f"the list: {', '.join(names())}; or a text file")
    what.add_argument(
        "--kitti_archives", action="store_true", help="write the URLs of all KITTI raw archives that the lists need"
    )
    parser.add_argument("--data_path", help="data root, whose own lists in splits/ come first")
    parser.add_argument("--output", required=True, help="the text file to write")
    args = parser.parse_tool_args(keys=[])
    lines: Sequence[str]
    if args.kitti_archives:
        lines, origin = kitti_archives(), "rule over the KITTI lists"
    else:
        split = load_split(args.split, args.data_path)
        lines, origin = split.lines, f"{split.origin}, sha256 {split.sha256}"
    write_text(args.output, as_text(lines))
    print(f"{args.output}: {len(lines)} lines ({origin})")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
