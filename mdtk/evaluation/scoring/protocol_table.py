"""The table of all protocols in docs/protocols.md, made from the rows so that it cannot disagree with them."""

from __future__ import annotations

import math

from mdtk.evaluation.scoring.metrics import SEVEN
from mdtk.evaluation.scoring.protocols import PROTOCOLS, Protocol
from mdtk.evaluation.scoring.regions import Box

HEAD = (
    *("protocol", "ground truth", "part of it", "crop", "valid depth", "resized", "how", "median", "clamp"),
    *("metrics", "ratio std"),
)


def markdown_table() -> str:
    """One line for each row of PROTOCOLS; the default row of each benchmark is bold."""
    rows = [row for key, row in PROTOCOLS.items() if key == row.key]
    lines = [HEAD, ["---"] * len(HEAD), *(_cells(row) for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cells(row: Protocol) -> list[str]:
    default = PROTOCOLS.get(row.name) is row
    low, high = row.clamp
    return [
        f"**`{row.key}`**" if default else f"`{row.key}`",
        row.ground_truth or "its own",
        _span(row.frame.box) if row.frame else "all",
        _span(row.crop) if row.crop else "none",
        f"{row.depth_min:g} < d" + ("" if math.isinf(row.depth_max) else f" < {row.depth_max:g}"),
        row.resized,
        row.interpolation.replace("_", ", "),
        row.median,
        f"{'−' if low is None else f'{low:g}'} … {'−' if high is None else f'{high:g}'}",
        "seven" if row.metrics == SEVEN else ", ".join(row.metrics),
        f"ddof {row.ratio_ddof}",
    ]


def _span(box: Box) -> str:
    def one(axis: tuple[float, float | None]) -> str:
        return f"{axis[0]}:{'' if axis[1] is None else axis[1]}"

    unit = " of the size" if box.unit == "fraction" else ""
    return f"[{one(box.rows)}, {one(box.columns)}]{unit}"
