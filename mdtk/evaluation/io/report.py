"""A self-contained HTML report of one benchmark: protocol, tables, pictures of the best, middle and worst images."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mdtk import viz
from mdtk.core.files import write_text
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.io.results import result_stem
from mdtk.evaluation.predictors import DepthPredictor, predicted_disparities
from mdtk.evaluation.scoring.evaluator import Evaluation
from mdtk.evaluation.scoring.metrics import METRICS
from mdtk.evaluation.scoring.score import Row, aligned_depth

PICTURES = 3  # best, middle and worst images each
ERROR_LIMIT = 0.3  # relative error of the error map's last colour
WIDTH = 480  # of a picture, pixels
BARS = 30  # of the histogram

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1080px; padding: 0 1rem; color: #1c2126;
       background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.lead { color: #57606a; margin-top: .2rem; }
table { border-collapse: collapse; margin: .6rem 0; } .wide { overflow-x: auto; }
th, td { padding: .3rem .45rem; border-bottom: 1px solid #d8dee4; text-align: right;
         font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, .provenance td { text-align: left; vertical-align: top; }
td:first-child { white-space: nowrap; } .provenance td:first-child { color: #57606a; }
.best { font-weight: 600; }
figure { margin: 1rem 0 1.6rem; } figcaption { margin-bottom: .3rem; overflow-wrap: anywhere; }
.grid { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .4rem; }
.grid img { width: 100%; display: block; } .grid span { font-size: .8rem; color: #57606a; }
.note { font-size: .85rem; color: #57606a; }
"""


def write_report(
    folder: Path, evaluations: Sequence[Evaluation], predictor: DepthPredictor, reader: DatasetReader
) -> Path:
    """Writes <folder>/<protocol>.html for one protocol's predictors, `predictor`'s evaluation first.

    The pictures are predicted anew, for the few images that are shown.
    """
    model = evaluations[0]
    chosen = choose_rows(model.rows)
    figures = [
        f"<h2>{html.escape(title)}</h2>" + "".join(_figure(model, row, reader, predictor) for row in rows)
        for title, rows in chosen.items()
        if rows
    ]
    body = [
        f"<h1>{html.escape(model.protocol.label)}</h1>",
        f'<p class="lead">{html.escape(model.protocol.title)}</p>',
        _results(evaluations),
        _histogram(model),
        *figures,
        f'<p class="note">Disparity: near is bright. Error maps: |prediction − truth| / truth, blue 0 to red '
        f"{ERROR_LIMIT:g} and more; black where there is no valid ground truth.</p>",
        "<h2>Protocol</h2>",
        _table(model.protocol.describe() | {"scale": model.scale.describe()}),
        "<h2>Where it comes from</h2>",
        _table(model.provenance),
    ]
    path = folder / f"{result_stem(model.protocol)}.html"
    head = f"<meta charset=utf-8><title>{html.escape(model.protocol.label)}</title><style>{STYLE}</style>"
    write_text(path, f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n')
    return path


def choose_rows(rows: Sequence[Row], count: int = PICTURES) -> dict[str, list[Row]]:
    """The rows with the lowest, middle and highest abs_rel, `count` each, none twice."""
    ordered = sorted(rows, key=lambda row: row.metrics["abs_rel"])
    count = min(count, max(1, len(ordered) // 3))
    first = max(count, (len(ordered) - count) // 2)
    worst = max(first + count, len(ordered) - count)
    return {
        "Best images": ordered[:count],
        "Middle images": ordered[first : first + count],
        "Worst images": ordered[worst:][::-1],
    }


def _results(evaluations: Sequence[Evaluation]) -> str:
    metrics = [name for name in evaluations[0].rows[0].metrics if name in METRICS]
    best = {
        name: (max if METRICS[name].higher_is_better else min)(one.means[name] for one in evaluations)
        for name in metrics
    }
    rows = []
    for one in evaluations:
        cells = [
            f'<td class="{"best" if one.means[name] == best[name] else ""}">{one.means[name]:.4f}</td>'
            for name in metrics
        ]
        ratio = f"<td>{one.ratio_median:.3f}</td><td>{one.ratio_spread:.3f}</td>"
        rows.append(f"<tr><td>{html.escape(one.predictor)}</td>{''.join(cells)}{ratio}</tr>")
    heads = "".join(
        f'<th title="{html.escape(METRICS[metric].description)}">{html.escape(metric)}</th>' for metric in metrics
    )
    first = evaluations[0]
    return (
        f'<div class="wide"><table><tr><th></th>{heads}<th>ratio</th><th>spread</th></tr>{"".join(rows)}</table>'
        f'</div><p class="note">{len(first.rows)} images, {first.valid_pixels:,} valid pixels. Means over images.</p>'
    )


def _histogram(evaluation: Evaluation) -> str:
    """abs_rel over images as an inline SVG."""
    values = np.array([row.metrics["abs_rel"] for row in evaluation.rows])
    counts, edges = np.histogram(values, bins=min(BARS, max(5, len(values) // 4)))
    width, height, step = 640, 120, 640 / len(counts)
    bars = "".join(
        f'<rect x="{i * step + 1:.1f}" y="{height * (1 - count / counts.max()):.1f}" width="{step - 2:.1f}" '
        f'height="{height * count / counts.max():.1f}" fill="#4a78b5"><title>{count} images, '
        f"{edges[i]:.3f} to {edges[i + 1]:.3f}</title></rect>"
        for i, count in enumerate(counts)
    )
    labels = (
        f'<text x="0" y="{height + 16}">{edges[0]:.3f}</text>'
        f'<text x="{width}" y="{height + 16}" text-anchor="end">{edges[-1]:.3f}</text>'
    )
    return (
        f'<h2>abs_rel over images</h2><svg viewBox="0 0 {width} {height + 22}" width="{width}" role="img" '
        f'style="max-width:100%;font-size:12px" fill="#57606a">{bars}{labels}</svg>'
        f'<p class="note">Mean {values.mean():.4f}, median {np.median(values):.4f}, '
        f"the highest bar holds {counts.max()} images.</p>"
    )


def _figure(evaluation: Evaluation, row: Row, reader: DatasetReader, predictor: DepthPredictor) -> str:
    pictures = picture_row(evaluation, row, reader, predictor)
    cells = "".join(
        f'<div><img alt="{label}" src="data:image/png;base64,{png_base64(picture)}"><span>{label}</span></div>'
        for label, picture in pictures.items()
    )
    numbers = ", ".join(f"{name} {row.metrics[name]:.3f}" for name in ("abs_rel", "rmse", "a1") if name in row.metrics)
    caption = f"{row.name} · {numbers} · {row.valid_pixels:,} valid pixels · scale {row.scale:.3f}"
    return f'<figure><figcaption>{html.escape(caption)}</figcaption><div class="grid">{cells}</div></figure>'


def picture_row(
    evaluation: Evaluation, row: Row, reader: DatasetReader, predictor: DepthPredictor
) -> dict[str, np.ndarray]:
    """Image, predicted disparity, ground truth and error map of one row, each (h, w, 3) uint8."""
    protocol = evaluation.protocol
    disparity = predicted_disparities(predictor, protocol, reader, [[row.index]])[row.name]
    truth = reader.ground_truth(row.index, protocol.ground_truth)
    truth = protocol.cut(truth, row.name)
    valid = protocol.valid(truth)
    depth = aligned_depth(protocol, evaluation.scale, row, disparity, evaluation.kind)
    image = np.asarray(reader.images(row.index, [0])[0])
    grow = 0 if valid.mean() > 0.3 else max(1, round(truth.shape[1] / WIDTH))  # sparse points stay visible when shrunk
    shown = np.where(valid, truth, 0.0)
    return {
        "image": viz.resize_picture(image, WIDTH),
        "predicted disparity": viz.resize_picture(viz.colour_disparity(disparity), WIDTH, _height(image)),
        "ground truth as disparity": viz.resize_picture(_points(shown, grow), WIDTH, _height(image)),
        "relative error": viz.resize_picture(
            viz.error_map(depth, truth, ERROR_LIMIT, valid, grow), WIDTH, _height(image)
        ),
    }


def _points(depth: np.ndarray, grow: int) -> np.ndarray:
    """Ground truth coloured by inverse depth, sparse points widened, the nearest on top."""
    if not grow:
        return viz.colour_depth(depth)
    near = np.zeros_like(depth)
    np.divide(1.0, depth, out=near, where=depth > 0)
    near = cv2.dilate(near, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8))
    return viz.colour_disparity(np.where(near > 0, near, np.nan))


def _height(image: np.ndarray) -> int:
    return max(1, round(image.shape[0] * WIDTH / image.shape[1]))


def png_base64(picture: np.ndarray) -> str:
    """A picture (h, w, 3) uint8 as the base64 text of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _table(values: Mapping[str, object]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(key.replace('_', ' '))}</td><td>{_value(v)}</td></tr>" for key, v in values.items()
    )
    return f'<table class="provenance">{rows}</table>'


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{html.escape(str(key))} {html.escape(str(item))}" for key, item in value.items())
    return html.escape(str(value))
