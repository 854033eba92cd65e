"""Renders the sample world in the file layout of every dataset, so that all tools run without a download."""

from __future__ import annotations

from mdtk.config.command_line import ToolParser
from mdtk.core.errors import run_tool
from mdtk.synthetic import LAYOUTS, SCALES, make_sample


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--output", default="datasets/sample", help="folder to write")
    parser.add_argument(
        "--scale", default="small", choices=SCALES, help="how much data: number of drives and frames, image size"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed is another world")
    parser.add_argument("--only", help=f"comma-separated datasets out of {','.join(LAYOUTS)}; default: all")
    parser.add_argument("--jobs", type=int, help="number of processes; default: one for each CPU")
    args = parser.parse_tool_args(keys=[])
    only = args.only.split(",") if args.only else None
    for dataset, state in make_sample(args.output, args.scale, args.seed, only, args.jobs).items():
        print(f"{state:6} {args.output}/{dataset}")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
