"""The tables of a report: models, baseline predictors and published numbers of a benchmark, sortable in the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mdtk.evaluation.comparison import Line, Result, latex, own_line, published_lines
from mdtk.evaluation.report.entries import Entry, mean
from mdtk.evaluation.scoring.metrics import METRICS, SEVEN


@dataclass(frozen=True)
class Cell:
    """A number of a table: how it is printed, what it is sorted by, and whether it is the best of its column."""

    text: str
    value: float
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column: `title` defines it; `first` is the direction of the first click, "up" for what is better low."""

    name: str
    title: str = ""
    first: str = "up"


@dataclass(frozen=True)
class TableRow:
    """A row: `kind` is model, baseline or published; `source` says where a published one is printed."""

    label: str
    kind: str
    cells: tuple[Cell, ...]
    colour: str = ""
    source: str = ""


@dataclass(frozen=True)
class Table:
    """Columns, rows, and the same in LaTeX."""

    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    latex: str = ""


def column_of(metric: str) -> Column:
    """The column of a metric, with its definition where it is a registered one."""
    known = METRICS.get(metric)
    return Column(metric, known.description if known else "", "down" if known and known.higher_is_better else "up")


def benchmark_table(entries: Sequence[Entry], colours: Mapping[str, str]) -> Table:
    """The main table of one benchmark: the metrics that its protocol reports, images and scale ratios."""
    order = [str(name) for name in entries[0].stored().get("published_order", [])] or list(SEVEN)
    metrics = [name for name in order if name in entries[0].result.metrics]
    lines = published_lines(str(entries[0].facts["protocol"]))
    rows = [_row(entry.label, "model", entry.result, metrics, colours[entry.label], entry) for entry in entries]
    rows += [_row(name, "baseline", result, metrics) for name, result in baselines(entries).items()]
    empty = (Cell("", math.nan),) * 3
    for line in lines:
        cells = tuple(_cell(line.values.get(metric, math.nan), 3) for metric in metrics)
        rows.append(TableRow(line.label, "published", (*cells, *empty), source=line.source))
    extra = (Column("images", "scored images", "down"), Column("ratio", "median of the scale that alignment chose"))
    columns = (*map(column_of, metrics), *extra, Column("spread", "its spread over images, std of ratio / median"))
    own: list[Line] = [own_line(entry.label, [entry.result], metrics) for entry in entries]
    return Table(columns, tuple(_mark_best(rows, columns[: len(metrics)])), latex([*own, *lines], metrics))


def all_metrics_table(entries: Sequence[Entry], colours: Mapping[str, str]) -> Table:
    """Every metric of the results that the main table leaves out, those on maps too; a row for each metric."""
    shown = set(entries[0].stored().get("published_order", []))
    names = [name for name in entries[0].result.metrics if name not in shown]
    columns = tuple(Column(entry.label) for entry in entries)
    rows = [TableRow(name, "metric", tuple(_cell(mean(entry.result, name), 4) for entry in entries)) for name in names]
    return Table(columns, tuple(rows))


def overview_table(groups: Mapping[str, Sequence[Entry]], colours: Mapping[str, str], metric: str = "abs_rel") -> Table:
    """Models by benchmarks: one metric of all, where there is more than one benchmark."""
    titles = list(groups)
    labels = dict.fromkeys(entry.label for entries in groups.values() for entry in entries)
    rows = []
    for label in labels:
        found = {title: entry for title in titles for entry in groups[title] if entry.label == label}
        values = [mean(found[title].result, metric) if title in found else math.nan for title in titles]
        rows.append(TableRow(label, "model", tuple(_cell(value, 3) for value in values), colours[label]))
    columns = tuple(Column(title.split(":")[0], f"{title}, mean {metric}") for title in titles)
    return Table(columns, tuple(_mark_best(rows, columns)))


def baselines(entries: Sequence[Entry]) -> dict[str, Result]:
    """The baseline predictors of the first entry that has any: they depend on the benchmark alone."""
    return dict(next((entry.baselines for entry in entries if entry.baselines), {}))


def _row(
    label: str, kind: str, result: Result, metrics: Sequence[str], colour: str = "", entry: Entry | None = None
) -> TableRow:
    stored = entry.stored() if entry else {}
    ratios = [stored[name] for name in ("scale_ratio_median", "scale_ratio_spread")] if entry else [math.nan] * 2
    cells = [_cell(mean(result, metric), 3) for metric in metrics]
    cells.append(Cell(str(len(result.names)), len(result.names)))
    cells += [_cell(ratio, 3) for ratio in ratios]
    return TableRow(label, kind, tuple(cells), colour)


def _cell(value: float, digits: int) -> Cell:
    return Cell("" if math.isnan(value) else f"{value:.{digits}f}", value)


def _mark_best(rows: Sequence[TableRow], columns: Sequence[Column]) -> list[TableRow]:
    """The rows with the best of what was computed here marked, column by column, where there are two or more."""
    computed = [row for row in rows if row.kind != "published"]
    best = []
    for place, column in enumerate(columns):
        values = np.array([row.cells[place].value for row in computed])
        known = values[~np.isnan(values)]
        best.append((known.max() if column.first == "down" else known.min()) if known.size > 1 else math.nan)
    marked = []
    for row in rows:
        cells = [
            Cell(cell.text, cell.value, row.kind != "published" and place < len(best) and cell.value == best[place])
            for place, cell in enumerate(row.cells)
        ]
        marked.append(TableRow(row.label, row.kind, tuple(cells), row.colour, row.source))
    return marked
