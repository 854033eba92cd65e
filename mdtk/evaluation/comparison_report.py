"""A self-contained page with pictures of the images on which two results differ most."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.comparison import Result, changed_most
from mdtk.evaluation.ground_truth import GroundTruthReader
from mdtk.evaluation.io.report import STYLE, picture_row, png_base64
from mdtk.evaluation.predictors import FilePredictor, kind_of, predicted_disparities
from mdtk.evaluation.scoring.alignment import KINDS
from mdtk.evaluation.scoring.evaluator import MODEL, Evaluation, evaluate
from mdtk.evaluation.scoring.protocols import Protocol
from mdtk.evaluation.scoring.score import ScaleMode


def write_comparison(
    path: str | Path,
    protocol: Protocol,
    reader: DatasetReader,
    pair: Sequence[Result],
    saved: Sequence[str],
    metric: str,
    count: int,
) -> Path:
    """Writes the page `path`: the images that changed most, with the depth and error of both results.

    `saved` are the predictions of both, in any form that `external.load_external` takes. Raises `MdtkError` for results
    without their JSON, which says how they were aligned.
    """
    place = {reader.name(index): index for index in range(len(reader))}
    chosen = changed_most(pair[0], pair[1], metric, count)
    if unknown := [name for _, name, _ in chosen if name not in place]:
        raise MdtkError(
            f"{pair[0].label}: its image {unknown[0]} is not in {protocol.split}; compare results of one list"
        )
    indices = [place[name] for _, name, _ in chosen]
    shown = [_scored(protocol, reader, *one, indices) for one in zip(pair, saved, strict=True)]
    figures = []
    for order, (_, name, change) in enumerate(chosen):
        cells = ""
        for result, (evaluation, predictor) in zip(pair, shown, strict=True):
            row = next(row for row in evaluation.rows if row.index == indices[order])
            pictures = picture_row(evaluation, row, reader, predictor)
            title = f"{result.label}: {metric} {row.metrics[metric]:.4f}"
            cells += _cells(title, pictures if not cells else {k: v for k, v in pictures.items() if k != "image"})
        figures.append(f"<figure><figcaption>{html.escape(name)}: {change:+.4f}</figcaption>{cells}</figure>")
    head = f"<meta charset=utf-8><title>What changed most</title><style>{STYLE}</style>"
    title = html.escape(f"{protocol.label}: {pair[1].label} against {pair[0].label}")
    body = f"<h1>{title}</h1>{''.join(figures)}"
    write_text(path, f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n')
    return Path(path)


def _scored(
    protocol: Protocol, reader: DatasetReader, result: Result, saved: str, indices: Sequence[int]
) -> tuple[Evaluation, FilePredictor]:
    """The few images scored anew, as the result's JSON says that they were aligned."""
    stored = result.facts.get("results", {}).get(MODEL, {})
    if "alignment" not in stored:
        raise MdtkError(f"{result.label}: no JSON beside the CSV that says how it was aligned; evaluate it again")
    kind = stored.get("predictions_are", "disparity")
    if kind not in KINDS or not isinstance(stored.get("factor"), (int, float)):
        raise MdtkError(f"{result.label}: its JSON names no kind and factor of predictions; evaluate it again")
    predictor = FilePredictor(saved, kind)
    maps = predicted_disparities(predictor, protocol, reader, [indices])
    truth = GroundTruthReader(reader, protocol.ground_truth, [sorted(indices)])
    scale = ScaleMode(stored["alignment"], stored["factor"])
    return evaluate(protocol, maps, truth, scale, True, kind_of(predictor), reader.recording), predictor


def _cells(title: str, pictures: Mapping[str, np.ndarray]) -> str:
    images = "".join(
        f'<div><img alt="{label}" src="data:image/png;base64,{png_base64(picture)}"><span>{label}</span></div>'
        for label, picture in pictures.items()
    )
    return f'<p class="note">{html.escape(title)}</p><div class="grid">{images}</div>'
