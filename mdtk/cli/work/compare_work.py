"""The work of `mdtk compare`."""

from __future__ import annotations

import argparse

from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
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
from mdtk.evaluation.scoring.protocols import get_protocol


def main(args: argparse.Namespace) -> int:
    """Does what the command line asks; gives the exit status."""
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
    return 0
