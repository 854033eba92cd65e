"""Finished evaluations read back for a report: one `Entry` a model and benchmark, from the files of `io.results`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file
from mdtk.core.guard import reading
from mdtk.evaluation.comparison import Result, check_comparable, published_doubts, published_lines, read_result
from mdtk.evaluation.io.results import read_facts
from mdtk.evaluation.io.run_log import read_records
from mdtk.evaluation.scoring.evaluator import MODEL

ADVICE = "evaluate again with this version"


@dataclass(frozen=True)
class Entry:
    """One model's result under one protocol, with the baseline predictors that were scored beside it."""

    label: str
    folder: Path
    path: Path  # the CSV
    facts: Mapping[str, Any]  # the JSON beside it
    result: Result
    baselines: Mapping[str, Result]

    @property
    def title(self) -> str:
        """What was measured, such as "kitti_eigen/monodepth2: KITTI, Eigen split …"; entries of one title compare."""
        return str(self.facts.get("protocol_description", {}).get("protocol") or self.facts["protocol"])

    def stored(self, predictor: str = MODEL) -> Mapping[str, Any]:
        """What the JSON says of one predictor."""
        found: Mapping[str, Any] = self.facts["results"][predictor]
        return found


def read_entries(folders: Sequence[str | Path], labels: Sequence[str] = ()) -> list[Entry]:
    """The results in `folders` of tools/evaluate.py, folder by folder; `labels` name the models.

    Results without ground truth, which have no abs_rel, are left out: the page is about depth errors.
    Raises `MdtkError` for a folder without results, a file that is none, and labels of another number.
    """
    paths = [Path(folder) for folder in folders]
    if labels and len(labels) != len(paths):
        raise MdtkError(f"--labels has {len(labels)} names for {len(paths)} results; give one for each")
    entries = []
    for path, label in zip(paths, labels or short_labels(paths), strict=True):
        found = [one for json_path in _files(path) if "abs_rel" in (one := _entry(json_path, label)).result.metrics]
        if not found:
            raise MdtkError(f"{path} holds no results; give folders that mdtk evaluate wrote")
        entries += found
    return entries


def _files(folder: Path) -> list[Path]:
    """The JSON files of protocols, which have a CSV beside them; a summary and other files have another content."""
    found = [path for path in sorted(folder.glob("*.json")) if path.with_suffix(".csv").is_file()]
    return [path for path in found if not path.name.startswith("summary")]


def _entry(path: Path, label: str) -> Entry:
    facts, csv_path = read_facts(path, ADVICE), path.with_suffix(".csv")
    if MODEL not in facts.get("results", {}) or not isinstance(facts.get("protocol"), str):
        raise MdtkError(f"{path} has no protocol or no predictor '{MODEL}'; {ADVICE}")
    with reading(path, "result", ADVICE):  # what the page takes for granted
        facts["protocol_description"] = dict(facts.get("protocol_description", {}))
        for stored in facts["results"].values():
            stored["published_order"] = [str(name) for name in stored.get("published_order", [])]
            stored["alignment"] = str(stored["alignment"])
            for name in ("scale_ratio_median", "scale_ratio_spread", "factor"):
                stored[name] = math.nan if stored[name] is None else float(stored[name])  # not finite
        results = {name: read_result(csv_path, str(facts["protocol"]), name) for name in facts["results"]}
    for name, result in results.items():
        if "abs_rel" not in result.metrics or len(result.indices) != len(result.names):
            raise MdtkError(f"{csv_path}: {name} has no abs_rel, or no places in the list; {ADVICE}")
        if not (np.isfinite(result.metrics["abs_rel"]) & (result.metrics["abs_rel"] >= 0)).all():
            raise MdtkError(f"{csv_path}: {name} has an abs_rel that no image can have (NaN, inf, negative); {ADVICE}")
    model = dataclasses.replace(results.pop(MODEL), label=label)
    return Entry(label, path.parent, csv_path, facts, model, results)


def short_labels(paths: Sequence[Path]) -> list[str]:
    """What tells the folders apart: runs/a/evaluation/last and runs/b/evaluation/last are "a" and "b".

    A single folder is named by its run and checkpoint, as "a/last". Two equal folders get numbers.
    """
    parts = [list(path.resolve().parts) for path in paths]
    if len(parts) == 1 or len({tuple(one) for one in parts}) == 1:
        names = [one for one in parts[0][-3:] if one != "evaluation"][-2:]
        return ["/".join(names) + (f" ({place + 1})" if place else "") for place in range(len(parts))]
    start = next(place for place in range(min(map(len, parts)) + 1) if len({tuple(one[:place]) for one in parts}) > 1)
    kept = [one[start - 1 :] for one in parts]
    while all(len(one) > 1 for one in kept) and len({one[-1] for one in kept}) == 1:
        kept = [one[:-1] for one in kept]
    names = ["/".join(part for part in one if part != "evaluation") or one[-1] for one in kept]
    return [name if names.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(names)]


def by_benchmark(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Title of the benchmark → its entries, in the order of their first appearance."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.title, []).append(entry)
    return found


def doubts(entries: Sequence[Entry]) -> list[str]:
    """Why the entries of one benchmark should not be compared, sentence by sentence; empty when they may."""
    sentences: list[str] = []
    for other in entries[1:]:
        try:
            sentences += check_comparable([entries[0].result, other.result])
        except MdtkError as error:
            sentences.append(str(error))
    first = entries[0].result
    return sentences + (published_doubts(first) if published_lines(first.protocol) else [])


def same_images(entries: Sequence[Entry]) -> list[Entry]:
    """The first entry, and those that were scored on the same images in the same order."""
    return [entry for entry in entries if entry.result.names == entries[0].result.names]


def mean(result: Result, metric: str) -> float:
    """A metric's mean over the images that have it; NaN where none has."""
    values = result.metrics.get(metric, np.array([np.nan]))
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def read_curves(entry: Entry) -> dict[str, list[tuple[int, float]]]:
    """The learning curves of the training behind a result: "train/total" → [(step, value)]; empty without a
    metrics.jsonl beside the checkpoint. Lines that a kill cut off are left out."""
    checkpoint = entry.facts.get("checkpoint")
    places = [Path(str(checkpoint)).parent] if checkpoint else []
    places += [entry.folder.parent, entry.folder.parent.parent]
    path = next((place / "metrics.jsonl" for place in places if is_file(place / "metrics.jsonl")), None)
    if path is None:
        return {}
    curves: dict[str, list[tuple[int, float]]] = {}
    for record in read_records(path):
        for name, value in record.items():
            if isinstance(value, float) and np.isfinite(value):
                curves.setdefault(f"{record['kind']}/{name}", []).append((record["step"], value))
    return curves
