"""Evaluations as files and tables: JSON with the protocol's description, CSV per image, console table, LaTeX rows."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, write_text
from mdtk.core.guard import read_json
from mdtk.evaluation.io.external import file_stem
from mdtk.evaluation.scoring.evaluator import Evaluation
from mdtk.evaluation.scoring.metrics import METRICS
from mdtk.evaluation.scoring.protocols import Protocol

_MAPPINGS = ("configuration", "protocol_description", "results")  # of a result's JSON
_PLACE = ("valid_pixels", "scale", "shift", "height", "width")  # the last columns of a CSV
# Columns of the summary, in the order of papers; a benchmark fills those that its protocol reports
SUMMARY = ("abs_rel", "sq_rel", "rmse", "rmse_log", "rmse_log10", "log10", "a1", "a2", "a3")


def group(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Evaluations of one protocol together, in order."""
    groups: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        groups.setdefault(evaluation.protocol.key, []).append(evaluation)
    return list(groups.values())


def align_columns(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Rows of cells as text: the first `left` columns to the left, others to the right, a line below the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width) for column, (cell, width) in enumerate(cells)
        )
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def console_table(evaluations: Sequence[Evaluation]) -> str:
    """One protocol's table: a line per predictor, under a head that says what was compared."""
    first = evaluations[0]
    protocol, steps = first.protocol, first.protocol.describe()
    metrics = [name for name in first.rows[0].metrics if name in METRICS]
    rows = [["", *metrics]]
    rows += [[one.predictor, *(f"{one.means[metric]:.4f}" for metric in metrics)] for one in evaluations]
    on_maps = [name for name in first.rows[0].metrics if name not in METRICS]
    below = [["on maps" if metrics else "", *(one.predictor for one in evaluations)]]
    below += [[name, *(f"{one.means[name]:.4f}" for one in evaluations)] for name in on_maps]
    lines = [
        f"{protocol.label}: {protocol.title}",
        f"  {len(first.rows)} images, {first.valid_pixels:,} valid pixels ({steps['valid_pixels']})",
        f"  crop: {steps['crop']}",
        f"  scale: {first.scale.describe()}",
        f"  scale ratios: median {first.ratio_median:.3f}, spread {first.ratio_spread:.3f}",
    ]
    listed = first.provenance.get("images_of_list", protocol.images)
    if protocol.images and listed != protocol.images:
        lines.append(f"  list: {listed} images; the published one has {protocol.images}")
    if first.empty:
        lines.append(f"  left out, no valid pixel: {len(first.empty)} images ({', '.join(first.empty[:3])} …)")
    if "contamination" in first.provenance:
        lines.append(f"  training: {dict(first.provenance['contamination'])['text']}")  # type: ignore[call-overload]
    if "tae" in first.provenance:
        lines.append(f"  tae: {first.provenance['tae']}")
    baselines = str(first.provenance.get("baseline_predictors", ""))
    if baselines.startswith("left out"):
        lines.append(f"  baseline predictor median map {baselines}")
    tables = [align_columns(rows)] * bool(metrics) + [align_columns(below)] * bool(on_maps)
    return "\n\n".join(["\n".join(lines), *tables])


def summary_table(evaluations: Sequence[Evaluation]) -> str:
    """All benchmarks in one table; a cell is empty where the benchmark's protocol does not report the metric."""
    used = [metric for metric in SUMMARY if any(metric in one.protocol.metrics for one in evaluations)]
    rows = [["benchmark", "predictor", "images", *used]]
    for one in evaluations:
        cells = [f"{one.means[metric]:.3f}" if metric in one.protocol.metrics else "" for metric in used]
        rows.append([one.protocol.label, one.predictor, str(len(one.rows)), *cells])
    return align_columns(rows, left=2)


def latex_row(evaluation: Evaluation) -> str:
    """The published metrics in order, as a row of a LaTeX table: "& 0.115 & 0.903 … \\\\"."""
    means = evaluation.means
    return " & ".join(["", *(f"{means[metric]:.3f}" for metric in evaluation.protocol.metrics)]).strip() + r" \\"


def to_json(evaluations: Sequence[Evaluation]) -> dict:
    """One protocol's predictors as plain values; unbounded ranges are null."""
    first = evaluations[0]
    protocol = first.protocol
    return {
        "protocol": protocol.key,
        "variant": protocol.variant,
        "protocol_description": protocol.describe(),
        "depth_range_changed": protocol.range_changed,
        "depth_min": protocol.depth_min,
        "depth_max": None if math.isinf(protocol.depth_max) else protocol.depth_max,
        "crop": protocol.describe()["crop"],
        "images_of_published_list": protocol.images or None,
        "metric_descriptions": {name: METRICS[name].description for name in first.rows[0].metrics if name in METRICS},
        **first.provenance,
        "images_evaluated": len(first.rows),
        "images_without_valid_pixel": list(first.empty),
        "valid_pixels": first.valid_pixels,
        "results": {one.predictor: _result(one) for one in evaluations},
    }


def _result(evaluation: Evaluation) -> dict:
    return {
        "metrics": {name: finite(value) for name, value in evaluation.means.items()},
        "published_order": list(evaluation.protocol.metrics),
        "alignment": evaluation.scale.alignment,
        "alignment_row": evaluation.scale.row.fields(),
        "predictions_are": evaluation.kind,
        "factor": evaluation.scale.factor,
        "scale_mode": evaluation.scale.describe(),
        "scale_ratio_median": finite(evaluation.ratio_median),
        "scale_ratio_spread": finite(evaluation.ratio_spread),
        "latex": latex_row(evaluation),
    }


def finite(value: float) -> float | None:
    """A number for JSON, which has none for a metric that is not known, or is infinite as depth without a clamp is."""
    return value if math.isfinite(value) else None


def cell(text: str) -> str:
    """A text for a CSV cell: one that a spreadsheet would take for a formula gets a quote before it."""
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) or text[:1] in "\t\r" else text


def write_csv(path: Path, evaluations: Sequence[Evaluation]) -> None:
    """A line per predictor and image: metrics, valid pixels, scale and shift of the alignment."""
    metrics = list(evaluations[0].rows[0].metrics)
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["predictor", "index", "name", "recording", *metrics, *_PLACE])
        for one in evaluations:
            for row in one.rows:
                values = [repr(row.metrics[metric]) for metric in metrics]
                scale = [row.valid_pixels, repr(float(row.scale)), repr(float(row.shift)), row.height, row.width]
                writer.writerow([cell(one.predictor), row.index, cell(row.name), cell(row.recording), *values, *scale])


def result_stem(protocol: Protocol) -> str:
    """The name of a protocol's files, which another depth range changes: "kitti_eigen_monodepth2_0.001-50m"."""
    return file_stem(protocol.key) + range_suffix(protocol)


def range_suffix(protocol: Protocol) -> str:
    """ "_0.001-50m" where the depth range was changed by key, else empty."""
    return f"_{protocol.depth_min:g}-{protocol.depth_max:g}m" if protocol.range_changed else ""


def check_overwrite(folder: Path, protocol: Protocol, configuration: Mapping[str, object]) -> None:
    """Raises `MdtkError` if `folder` holds a result of the protocol that another configuration made.

    A result of an older version, which does not say what made it, counts as another one.
    """
    check_replaced(folder / f"{result_stem(protocol)}.json", configuration)


def check_replaced(path: Path, configuration: Mapping[str, object]) -> None:
    """`check_overwrite` of the result that is the JSON file `path`."""
    if not path.is_file():
        return
    stored = read_facts(path, "give --overwrite to replace it").get("configuration", {})
    changed = [key for key, value in configuration.items() if stored.get(key) != value]
    if changed == ["map_metrics"] and set(stored.get("map_metrics") or ()) < set(configuration["map_metrics"]):  # type: ignore[call-overload]
        return  # the same result with more beside it
    if changed:
        key = changed[0]
        raise MdtkError(
            f"{path} holds the result of another configuration ({key}: {stored.get(key)}, now {configuration[key]}); "
            "give --overwrite to replace it, or another --output"
        )


def read_facts(path: Path, advice: str = "evaluate again") -> dict[str, Any]:
    """The JSON of a result, by `to_json`. Raises `MdtkError`, which ends with `advice`, for another content."""
    stored = read_json(path, "result", advice)
    parts = [stored.get(key, {}) for key in _MAPPINGS] if isinstance(stored, dict) else [None]
    rows = list(parts[-1].values()) if isinstance(parts[-1], dict) else []
    if not all(isinstance(one, dict) for one in (*parts, *rows)):
        raise MdtkError(f"{path}: is no result of this tool; {advice}")
    return dict(stored)


def write_results(folder: Path, evaluations: Sequence[Evaluation]) -> list[Path]:
    """<folder>/<protocol>.json and <protocol>.csv of one protocol's predictors."""
    stem = result_stem(evaluations[0].protocol)
    paths = [folder / f"{stem}.json", folder / f"{stem}.csv"]
    write_text(paths[0], json.dumps(to_json(evaluations), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    write_csv(paths[1], evaluations)
    return paths


def write_summary(folder: Path, evaluations: Sequence[Evaluation], missing: Mapping[str, str]) -> list[Path]:
    """<folder>/summary.json|csv|txt|tex over all protocols; `missing`: benchmark → why it has no result."""
    ranges = {range_suffix(one.protocol) for one in evaluations}
    name = "summary" + (ranges.pop() if len(ranges) == 1 else "")
    paths = [folder / f"{name}.{suffix}" for suffix in ("json", "csv", "txt", "tex")]
    content = {
        "benchmarks": {ones[0].protocol.key: to_json(ones) for ones in group(evaluations)},
        "missing": dict(missing),
    }
    write_text(paths[0], json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    with atomic_write(paths[1]) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["benchmark", "predictor", "images", "valid_pixels", *METRICS])
        for one in evaluations:
            values = [repr(one.means[metric]) if metric in one.means else "" for metric in METRICS]
            writer.writerow([cell(one.protocol.key), cell(one.predictor), len(one.rows), one.valid_pixels, *values])
    write_text(paths[2], summary_table(evaluations) + "\n")
    rows = [f"% {one.protocol.label}, {one.predictor}\n{latex_row(one)}\n" for one in evaluations]
    write_text(paths[3], "".join(rows))
    return paths
