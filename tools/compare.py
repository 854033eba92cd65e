"""Says whether results differ by more than chance, and makes the table of a paper from them.

A, B, C … are folders of tools/evaluate.py (or CSV files in them). Every one after A is compared with A: the mean
difference per image, an interval from resampling whole drives or scenes, and "differs" or "does not differ". Several
runs of one recipe are one argument, joined by commas: A1,A2,A3 gives a mean and a standard deviation over seeds.
"""

from __future__ import annotations

from mdtk.config import load_config
from mdtk.config.command_line import ToolParser
from mdtk.core.errors import MdtkError, run_tool
from mdtk.core.files import write_text
from mdtk.datasets.catalogue import build_eval_reader
from mdtk.evaluation.comparison import (
    changed_most,
    check_comparable,
    difference_table,
    latex,
    markdown,
    own_line,
    published_lines,
    read_result,
)
from mdtk.evaluation.comparison_report import write_comparison
from mdtk.evaluation.scoring.metrics import SEVEN
from mdtk.evaluation.scoring.protocols import get_protocol


def main() -> int:
    parser = ToolParser(__doc__)
    parser.add_argument("results", nargs="+", metavar="A B", help="result folders; runs of one recipe joined by commas")
    parser.add_argument("--protocol", default="kitti_eigen", help="benchmark or benchmark/variant")
    parser.add_argument("--metrics", nargs="+", default=list(SEVEN), help="columns that are compared")
    parser.add_argument("--labels", nargs="+", default=[], help="names for the table, one for each argument")
    parser.add_argument("--published", action="store_true", help="add the published numbers of the protocol")
    parser.add_argument("--changed", type=int, default=5, help="how many of the images that changed most are named")
    parser.add_argument("--pictures", default="", help="write an HTML page with pictures of these images ")
    parser.add_argument("--saved", nargs=2, default=[], metavar=("A", "B"), help="their predictions/ folders")
    parser.add_argument("--config", default="", help="a recipe that says where the data is, for pictures")
    parser.add_argument("--output", default="", help="also write <output>.md and <output>.tex")
    args = parser.parse_tool_args()
    protocol = get_protocol(args.protocol, asker="--protocol")
    labels = args.labels or args.results
    if len(labels) != len(args.results):
        raise MdtkError(f"--labels has {len(labels)} names for {len(args.results)} results; give one for each")
    runs = [[read_result(place, protocol.key) for place in word.split(",")] for word in args.results]
    firsts = [group[0] for group in runs]
    for doubt in check_comparable([run for group in runs for run in group]):
        print(f"careful: {doubt}")
    if len(firsts) > 1:
        print(f"\nA = {firsts[0].label}, {len(firsts[0].names)} images\n\n{difference_table(firsts, args.metrics)}\n")
        for other in firsts[1:]:
            print(f"changed most, {args.metrics[0]}, {other.label}:")
            for _, name, change in changed_most(firsts[0], other, args.metrics[0], args.changed):
                print(f"  {change:+.4f}  {name}")
    lines = [own_line(label, group, args.metrics) for label, group in zip(labels, runs, strict=True)]
    lines += published_lines(protocol.key) if args.published else []
    print(f"\n{markdown(lines, args.metrics)}")
    if args.output:
        write_text(f"{args.output}.md", markdown(lines, args.metrics))
        write_text(f"{args.output}.tex", latex(lines, args.metrics))
        print(f"wrote {args.output}.md, {args.output}.tex")
    if args.pictures:
        if len(args.saved) != 2 or len(firsts) < 2:
            raise MdtkError("--pictures needs two results and --saved with their predictions/ folders")
        reader = build_eval_reader(protocol.dataset, load_config(args.config or None, args.overrides), protocol.split)
        pair = (firsts[0], firsts[1])
        page = write_comparison(args.pictures, protocol, reader, pair, args.saved, args.metrics[0], args.changed)
        print(f"wrote {page}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
