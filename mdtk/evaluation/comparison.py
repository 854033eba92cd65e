"""What tools/compare.py says: results read back, differences of each pair, seeds, tables with published numbers."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mdtk.core.errors import MdtkError, one_line
from mdtk.core.guard import read_text, reading
from mdtk.evaluation.io.external import file_stem
from mdtk.evaluation.io.results import align_columns, read_facts
from mdtk.evaluation.scoring.bootstrap import Difference, compare_paired
from mdtk.evaluation.scoring.evaluator import MODEL
from mdtk.evaluation.scoring.metrics import METRICS, SEVEN

PUBLISHED = Path(__file__).with_name("published_results.yaml")
DOUBTS = (  # facts of results that should be equal, and their name
    (("protocol",), "protocols"),
    (("list_sha256",), "lists"),
    (("depth_min", "depth_max"), "depth ranges"),
    (("image_format",), "image formats"),
    (("ground_truth",), "ground truths"),
)
PLACE = ("predictor", "index", "name", "recording", "valid_pixels", "scale", "shift", "height", "width")


@dataclass(frozen=True)
class Result:
    """The rows of one predictor under one protocol, read from a CSV of tools/evaluate.py, and the JSON beside it."""

    label: str
    protocol: str
    names: tuple[str, ...]
    recordings: tuple[str, ...]
    metrics: Mapping[str, np.ndarray]
    facts: Mapping[str, Any] = field(default_factory=dict)
    indices: tuple[int, ...] = ()  # places in the list
    scales: tuple[float, ...] = ()
    shifts: tuple[float, ...] = ()

    def mean(self, metric: str) -> float:
        """The metric's mean over the images that have it."""
        values = self.metrics[metric]
        return float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else float("nan")


def shared_protocols(places: Sequence[str | Path]) -> list[str]:
    """The names of the CSV files, such as "kitti_eigen_monodepth2", that all the result folders hold, in order.

    A place that is a CSV file chooses its own name; of files alone the first one names all. Raises `MdtkError` that
    says what each place holds if they share none.
    """
    folders = [Path(place) for place in places if Path(place).suffix != ".csv"]
    files = [Path(place).stem for place in places if Path(place).suffix == ".csv"]
    if not folders:
        return files[:1]
    held = [_protocols_in(folder) for folder in folders]
    shared = [stem for stem in held[0] if all(stem in one for one in held) and set(files) <= {stem}]
    if not shared:
        said = [f"{folder} holds {_held(folder)}" for folder in dict.fromkeys(folders)]
        said += [f"{stem}.csv is given" for stem in files]
        raise MdtkError(f"no protocol is in all results: {'; '.join(said)}; evaluate them on a common one")
    return shared


def _protocols_in(folder: Path) -> list[str]:
    return sorted(one.stem for one in folder.glob("*.csv") if not one.stem.startswith("summary"))


def _held(folder: Path) -> str:
    """The protocols in a folder; of a training's folder, where its results are."""
    below = [str(one) for one in sorted(folder.glob("evaluation/*/")) if _protocols_in(one)]
    elsewhere = f"no result; give {' or '.join(below)}" if below else "nothing"
    return ", ".join(_protocols_in(folder)) or elsewhere


def read_result(place: str | Path, protocol: str, predictor: str = MODEL) -> Result:
    """A result: a folder of tools/evaluate.py that holds `<protocol>.csv`, or that file.

    Raises `MdtkError` if there is none, or it lacks the predictor or the recordings.
    """
    place = Path(place)
    path = place if place.suffix == ".csv" else place / f"{file_stem(protocol)}.csv"
    if not path.is_file():
        raise MdtkError(f"{path} not found; evaluate that protocol into the folder (it holds {_held(place)})")
    text = read_text(path, "result", "evaluate again")
    with reading(path, "result", "evaluate again"):
        rows = [row for row in csv.DictReader(io.StringIO(text), strict=True) if row.get("predictor") == predictor]
    if not rows or "recording" not in rows[0] or "name" not in rows[0]:
        raise MdtkError(f"{path}: holds no rows of {predictor} with their recording; evaluate again with this version")
    with reading(path, "result", "evaluate again"):
        metrics = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name not in PLACE}
        indices = tuple(int(row["index"]) for row in rows if "index" in row)
        scales, shifts = (tuple(float(row[name]) for row in rows if name in row) for name in ("scale", "shift"))
    facts = path.with_suffix(".json")
    return Result(
        label=str(place if place.suffix != ".csv" else place.with_suffix("")),
        protocol=protocol,
        names=tuple(one_line(row["name"] or "") for row in rows),
        recordings=tuple(row["recording"] or "" for row in rows),
        metrics=metrics,
        facts=read_facts(facts) if facts.is_file() else {},
        indices=indices,
        scales=scales,
        shifts=shifts,
    )


def check_comparable(results: Sequence[Result]) -> list[str]:
    """What makes results of one protocol incomparable is an error; what makes them doubtful is a list of sentences."""
    first, doubts = results[0], []
    for other in results[1:]:
        if first.names != other.names:
            raise MdtkError(
                f"{other.label} has {len(other.names)} images and {first.label} {len(first.names)}, and they are not "
                "the same ones; evaluate both on one list"
            )
        for keys, title in DOUBTS:
            stated = [", ".join(str(one.facts.get(key)) for key in keys) for one in (first, other)]
            if stated[0] != stated[1]:
                doubts.append(f"different {title}: {first.label} {stated[0]}, {other.label} {stated[1]}")
        scales = [one.facts.get("results", {}).get(MODEL, {}).get("alignment") for one in (first, other)]
        if scales[0] != scales[1]:
            doubts.append(f"different alignments: {first.label} {scales[0]}, {other.label} {scales[1]}")
    return doubts


def mean_of_runs(runs: Sequence[Result], label: str) -> Result:
    """Runs of one recipe as one result under the name `label`: of each image, the mean over the runs."""
    first = runs[0]
    had = [name for name in first.metrics if all(name in run.metrics for run in runs)]
    metrics = {name: np.mean([run.metrics[name] for run in runs], axis=0) for name in had}
    return dataclasses.replace(first, label=f"{label} ({len(runs)} runs)" if len(runs) > 1 else label, metrics=metrics)


def published_doubts(result: Result) -> list[str]:
    """Why published numbers do not stand beside this result on equal terms, where its list is another one."""
    published, own = (result.facts.get(name) for name in ("images_of_published_list", "images_of_list"))
    if not published or published == own:
        return []
    return [f"published numbers are of {published} images, the results of another list of {own}: they do not compare"]


def compare(a: Result, b: Result, metric: str) -> Difference:
    """The difference b − a of a metric; a metric that one of them lacks is an error."""
    for result in (a, b):
        if metric not in result.metrics:
            raise MdtkError(f"{result.label} has no {metric}; it has {', '.join(result.metrics)}")
    for result in (a, b):
        if np.isinf(result.metrics[metric]).any():
            name = result.names[int(np.argmax(np.isinf(result.metrics[metric])))]
            raise MdtkError(
                f"{result.label}: {metric} of {name} is infinite, as the depth of an alignment without a clamp can be; "
                "evaluate with another --alignment, or leave the metric out of --metrics"
            )
    known = ~(np.isnan(a.metrics[metric]) | np.isnan(b.metrics[metric]))
    if not known.any():
        raise MdtkError(f"no image has {metric} in both {a.label} and {b.label}; choose another of --metrics")
    return compare_paired(a.metrics[metric][known], b.metrics[metric][known], np.array(a.recordings)[known].tolist())


def difference_table(results: Sequence[Result], metrics: Sequence[str]) -> str:
    """A line for each metric and each result after the first: means, difference, interval, verdict."""
    first = results[0]
    rows = [["metric", "result", "mean of A", "mean", "difference", "95 % interval", "per image", "verdict"]]
    for metric in metrics:
        for other in results[1:]:
            found = compare(first, other, metric)
            better = (found.mean > 0) == METRICS[metric].higher_is_better if metric in METRICS else None
            said = found.verdict + ("" if found.verdict != "differs" else ", better" if better else ", worse")
            rows.append(
                [
                    metric,
                    other.label,
                    f"{first.mean(metric):.4f}",
                    f"{other.mean(metric):.4f}",
                    f"{found.mean:+.4f}",
                    f"{found.low:+.4f} … {found.high:+.4f}",
                    f"{found.naive_low:+.4f} … {found.naive_high:+.4f}",
                    said,
                ]
            )
    return align_columns(rows, left=2)


def changed_most(a: Result, b: Result, metric: str, count: int = 5) -> list[tuple[int, str, float]]:
    """(place, name, b − a) of the images that changed most, the largest change first."""
    difference = np.nan_to_num(b.metrics[metric] - a.metrics[metric])
    order = np.argsort(-np.abs(difference), kind="stable")[:count]
    return [(int(place), a.names[place], float(difference[place])) for place in order]


@dataclass(frozen=True)
class Line:
    """A line of the final table: own results have a spread over seeds if there are several, published ones a source."""

    label: str
    values: Mapping[str, float]
    spread: Mapping[str, float] = field(default_factory=dict)
    runs: int = 1
    source: str = ""  # empty: computed here


def usual_metrics(results: Sequence[Result]) -> list[str]:
    """What the protocol's papers report, as the first result's JSON says (else the seven of Eigen), of what all have;
    where they have none of these, everything that they all have."""
    stored = results[0].facts.get("results", {}).get(MODEL, {}).get("published_order")
    order = [str(name) for name in stored] if isinstance(stored, list) and stored else list(SEVEN)
    had = [name for name in results[0].metrics if all(name in one.metrics for one in results)]
    return [name for name in order if name in had] or had


def own_line(label: str, runs: Sequence[Result], metrics: Sequence[str]) -> Line:
    """The mean over several runs of one recipe, and their sample standard deviation."""
    means = {metric: np.array([run.mean(metric) for run in runs]) for metric in metrics if metric in runs[0].metrics}
    spread = {metric: float(values.std(ddof=1)) for metric, values in means.items()} if len(runs) > 1 else {}
    return Line(label, {metric: float(values.mean()) for metric, values in means.items()}, spread, len(runs))


def published_lines(protocol: str, path: Path = PUBLISHED) -> list[Line]:
    """The published numbers of a protocol, from published_results.yaml."""
    stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    lines = []
    for entry in stored["results"]:
        if entry["protocol"] == protocol:
            metrics = stored["columns"][entry.get("columns", "seven")]
            lines.append(Line(entry["model"], dict(zip(metrics, entry["values"], strict=True)), source=entry["source"]))
    return lines


def _cell(line: Line, metric: str, plus_minus: str) -> str:
    if metric not in line.values:
        return ""
    spread = f" {plus_minus} {line.spread[metric]:.3f}" if metric in line.spread else ""
    return f"{line.values[metric]:.3f}{spread}"


def markdown(lines: Sequence[Line], metrics: Sequence[str], doubts: Sequence[str] = ()) -> str:
    """The table in Markdown; published lines carry a dagger, and their sources and the `doubts` stand below."""
    rows = [["", *metrics], ["---"] * (len(metrics) + 1)]
    for line in lines:
        label = f"{line.label} †" if line.source else line.label
        label += f" ({line.runs} runs)" if line.runs > 1 else ""
        rows.append([label, *(_cell(line, metric, "±") for metric in metrics)])
    sources: dict[str, list[str]] = {}
    for line in lines:
        sources.setdefault(line.source, []).append(line.label)
    notes = [f"† published: {'; '.join(labels)}: {source}" for source, labels in sources.items() if source]
    notes += [f"careful: {doubt}" for doubt in doubts]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + "".join(f"\n{note}\n" for note in notes)


def latex(lines: Sequence[Line], metrics: Sequence[str], doubts: Sequence[str] = ()) -> str:
    """The same table in LaTeX; what stands below is a comment."""
    head = " & ".join(["", *(metric.replace("_", r"\_") for metric in metrics)])
    body = []
    for line in lines:
        label = line.label.replace("_", r"\_").replace("&", r"\&") + (r"$^\dagger$" if line.source else "")
        body.append(" & ".join([label, *(_cell(line, metric, r"$\pm$") for metric in metrics)]) + r" \\")
    notes = ["% dagger: published, not computed here"] if any(line.source for line in lines) else []
    notes += [f"% careful: {doubt}" for doubt in doubts]
    table = [f"\\begin{{tabular}}{{l{'r' * len(metrics)}}}", head.strip() + r" \\ \hline", *body, "\\end{tabular}"]
    return "\n".join([*table, *notes, ""])
