#!/usr/bin/env python3
"""Compares the ratios of the benchmarks with the committed ones; fails where one is worse by more than a fifth.

  python benchmarks/check_ratios.py                                     runs every command of benchmarks/ratios.json
  python benchmarks/check_ratios.py --record "benchmarks/item.py --repeats 9" ...   measures and writes them there

A command runs up to three times, until each of its ratios is within a fifth of the committed one in some run: other
programs can make a ratio worse, and none better. Seconds are not compared, machines differ.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mdtk.core.errors import MdtkError, run_tool

ROOT = Path(__file__).resolve().parents[1]
RATIOS = ROOT / "benchmarks" / "ratios.json"
TRIES, MARGIN = 3, 0.2
Figures = dict[str, dict[str, Any]]


def run(command: str) -> Figures:
    """The figures that a benchmark prints with --json."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        words = [sys.executable, *shlex.split(command), "--json", str(path)]
        if subprocess.run(words, cwd=ROOT, check=False).returncode or not path.is_file():
            raise MdtkError(f"{command} wrote no figures; run it alone to see why")
        figures: Figures = json.loads(path.read_text(encoding="utf-8"))
    return figures


def worsened(known: dict[str, Any], ratio: float) -> bool:
    """Whether a ratio is worse than the committed one by more than the margin."""
    if known["better"] == "lower":
        return ratio > known["ratio"] * (1 + MARGIN)
    return ratio < known["ratio"] * (1 - MARGIN)


def check(command: str, known: Figures, runner: Callable[[str], Figures] = run) -> list[str]:
    """What is worse in each of up to three runs of `command`, a sentence a figure."""
    bad: dict[str, list[float]] = {name: [] for name in known}
    for _ in range(TRIES):
        found = runner(command)
        for name in list(bad):
            if name not in found:
                raise MdtkError(f"{command} gives no figure '{name}'; correct benchmarks/ratios.json")
            if worsened(known[name], found[name]["ratio"]):
                bad[name].append(found[name]["ratio"])
            else:
                del bad[name]
        if not bad:
            return []
    return [
        f"{name}: {', '.join(f'{ratio:.3f}' for ratio in ratios)}; committed {known[name]['ratio']:.3f} ({command})"
        for name, ratios in bad.items()
    ]


def record(commands: list[str], committed: Figures) -> None:
    """Measures the commands and writes their ratios beside the others."""
    for command in commands:
        for name, one in run(command).items():
            committed[name] = {key: one[key] for key in ("ratio", "bar", "better")} | {"command": command}
            committed[name]["ratio"] = round(one["ratio"], 3)
    RATIOS.write_text(json.dumps(committed, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", nargs="+", metavar="COMMAND")
    args = parser.parse_args()
    committed: Figures = json.loads(RATIOS.read_text(encoding="utf-8")) if RATIOS.is_file() else {}
    if args.record:
        record(args.record, committed)
        return 0
    failed = []
    for command in dict.fromkeys(one["command"] for one in committed.values()):
        failed += check(command, {name: one for name, one in committed.items() if one["command"] == command})
    print("\n".join(f"WORSE {text}" for text in failed) or "no ratio is worse than the committed one by a fifth")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
