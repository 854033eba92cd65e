"""The work of `mdtk compare`."""

from __future__ import annotations

import argparse

from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.evaluation.comparison import (
    Result,
    changed_most,
    check_comparable,
    difference_table,
    latex,
    markdown,
    mean_of_runs,
    own_line,
    published_doubts,
    published_lines,
    read_result,
    shared_protocols,
    usual_metrics,
)
from mdtk.evaluation.io.external import file_stem
from mdtk.evaluation.scoring.protocols import PROTOCOLS, get_protocol


def main(args: argparse.Namespace) -> int:
    """Does what the command line asks; gives the exit status."""
    labels = args.labels or [word.split(",")[0] for word in args.results]
    if len(labels) != len(args.results):
        raise MdtkError(f"--labels has {len(labels)} names for {len(args.results)} results; give one for each")
    places = [word.split(",") for word in args.results]
    if args.protocol:
        stems = [file_stem(get_protocol(args.protocol, asker="--protocol").key)]
    else:
        stems = shared_protocols([place for group in places for place in group])
    tables = []
    for stem in stems:
        runs = [[read_result(place, stem) for place in group] for group in places]
        tables.append(_compare(args, stem, labels, runs, f"{stem}\n\n" if len(stems) > 1 else ""))
    if args.output:
        write_text(f"{args.output}.md", "\n".join(text for text, _ in tables))
        write_text(f"{args.output}.tex", "\n".join(text for _, text in tables))
        print(f"wrote {args.output}.md, {args.output}.tex")
    return 0


def _compare(
    args: argparse.Namespace, stem: str, labels: list[str], runs: list[list[Result]], head: str
) -> tuple[str, str]:
    """Prints what one protocol's results say; gives their table in Markdown and in LaTeX, below `head`."""
    metrics = args.metrics or usual_metrics([run for group in runs for run in group])
    print(f"\n{head}", end="")
    for doubt in check_comparable([run for group in runs for run in group]):
        print(f"careful: {doubt}")
    first, *others = means = [mean_of_runs(group, label) for label, group in zip(labels, runs, strict=True)]
    if others:
        print(f"\nA = {first.label}, {len(first.names)} images\n\n{difference_table(means, metrics)}\n")
        for other in others:
            print(f"changed most, {metrics[0]}, {other.label}:")
            for _, name, change in changed_most(first, other, metrics[0], args.changed):
                print(f"  {change:+.4f}  {name}")
    lines = [own_line(label, group, metrics) for label, group in zip(labels, runs, strict=True)]
    key = {file_stem(row.key): row.key for row in PROTOCOLS.values()}.get(stem)  # none with a changed depth range
    published = published_lines(key) if args.published and key else []
    doubts = published_doubts(first) if published else []
    table = markdown([*lines, *published], metrics, doubts)
    print(f"\n{table}")
    return head + table, (f"% {head}" if head else "") + latex([*lines, *published], metrics, doubts)
