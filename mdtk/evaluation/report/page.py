"""The report: one HTML page over finished evaluations, which works from a file without a network.

`write_report` gathers what the template shows; the template (Jinja2, every text escaped) and its two companions lie
beside this module.
"""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from mdtk import __version__, viz
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, write_text
from mdtk.evaluation.report import figures, image_rows, tables
from mdtk.evaluation.report.entries import (
    Entry,
    by_benchmark,
    doubts,
    mean,
    read_curves,
    read_entries,
    same_images,
)
from mdtk.evaluation.report.sources import Opener, Source
from mdtk.evaluation.scoring.map_metrics import BINS

HERE = Path(__file__).parent
CHANGED = 3  # images that changed most between the first two models
BIN_NAMES = [f"{low}-{high}m" for low, high in BINS]
THIRDS = ("upper", "middle", "lower")


@dataclass(frozen=True)
class Picture:
    """One picture of an image: what the reader of the page calls it, and its address or data."""

    title: str
    src: str
    scale: str = ""  # which legend it follows: depth, error, or none


@dataclass(frozen=True)
class Figure:
    """A plot under a title, and what it shows."""

    title: str
    svg: Markup
    note: str = ""


class Sink:
    """Where pictures go: into the page itself, or as files into the folder `pictures` beside it."""

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.count = folder, 0

    def add(self, picture: np.ndarray, lossless: bool) -> str:
        """The address of a picture (H, W, 3) uint8, written as WebP; sparse points are kept without loss."""
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "WEBP", lossless=lossless, quality=85, method=4)
        if self.folder is None:
            return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        self.count += 1
        name = f"{self.count:03d}.webp"
        with atomic_write(self.folder / "pictures" / name) as temporary:
            temporary.write_bytes(buffer.getvalue())
        return f"pictures/{name}"


def write_report(
    folders: Sequence[str | Path],
    output: str | Path,
    opener: Opener,
    labels: Sequence[str] = (),
    images: int = image_rows.PICTURES,
) -> tuple[Path, list[str]]:
    """Writes the page over the results in `folders`, and gives its path and what it had to leave out.

    `output` is a file *.html, which then holds everything, or a folder for index.html and pictures/. `images` is the
    number of worst, median and best images each; 0: no pictures.
    """
    output = Path(output)
    single = output.suffix.lower() in (".html", ".htm")
    path = output if single else output / "index.html"
    entries = read_entries(folders, labels)
    names = list(dict.fromkeys(entry.label for entry in entries))
    colours = {name: figures.colour(place) for place, name in enumerate(names)}
    groups = by_benchmark(entries)
    sink = Sink(None if single else output)
    benchmarks = [_benchmark(title, group, colours, opener, sink, images) for title, group in groups.items()]
    text = _template().render(
        version=__version__,
        colours=colours,
        single=single,
        overview=tables.overview_table(groups, colours) if len(groups) > 1 else None,
        benchmarks=benchmarks,
        curves=_curves(entries, colours),
        error_limit=image_rows.ERROR_LIMIT,
        error_colours=_gradient("error", reverse=False),
        depth_colours=_gradient("magma", reverse=True),
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "script.js").read_text(encoding="utf-8")),
    )
    write_text(path, text)
    return path, [f"{one['title']}: no pictures: {one['why']}" for one in benchmarks if one["why"]]


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2")


def _gradient(name: str, reverse: bool) -> str:
    table = viz.colour_table(name)[:: -1 if reverse else 1][np.linspace(0, 255, 17).astype(int)]
    return ", ".join(f"rgb({r} {g} {b})" for r, g, b in table.tolist())


def _benchmark(
    title: str, entries: Sequence[Entry], colours: Mapping[str, str], opener: Opener, sink: Sink, images: int
) -> dict[str, Any]:
    """What the template shows of one benchmark."""
    comparable = same_images(entries)
    shown, why = {}, ""
    if images:
        try:
            shown = _images(comparable, opener, sink, images)
        except MdtkError as error:
            why = str(error)
    return {
        "title": title,
        "doubts": doubts(entries),
        "table": tables.benchmark_table(entries, colours),
        "more": tables.all_metrics_table(entries, colours),
        "figures": _figures(entries, colours),
        "behind": _behind(entries),
        "images": shown,
        "why": why,
        "protocol": {key.replace("_", " "): value for key, value in _described(entries[0]).items()},
        "provenance": {entry.label: _provenance(entry) for entry in entries},
    }


def _described(entry: Entry) -> Mapping[str, Any]:
    return {**entry.facts.get("protocol_description", {}), "scale": entry.stored().get("scale_mode", "")}


def _provenance(entry: Entry) -> dict[str, str]:
    """What of a result's JSON says where it comes from, as text."""
    own = ("results", "protocol_description", "metric_descriptions", "configuration", "images_without_valid_pixel")
    facts = {key: value for key, value in entry.facts.items() if key not in own}
    return {
        key.replace("_", " "): ", ".join(f"{name} {one}" for name, one in value.items())
        if isinstance(value, dict)
        else str(value)
        for key, value in facts.items()
    }


def _figures(entries: Sequence[Entry], colours: Mapping[str, str]) -> list[Figure]:
    """Distributions of abs_rel, and its means by distance and by height in the image where they were measured."""
    values = {colours[entry.label]: entry.result.metrics["abs_rel"] for entry in entries}
    grey = {own: one.metrics["abs_rel"] for own, one in zip(figures.GREY, _baselines(entries), strict=False)}
    found = [
        Figure("Share of images below an error", Markup(figures.shares(values | grey, "abs_rel"))),
        Figure("Distribution over images", Markup(figures.histogram(values, "abs_rel"))),
    ]
    for title, names, labels in (
        ("Error by distance", BIN_NAMES, [name.replace("-", "–").replace("m", " m") for name in BIN_NAMES]),
        ("Error by height in the image", THIRDS, [f"{name} third" for name in THIRDS]),
    ):
        keys = [f"abs_rel[{name}]" for name in names]
        means = {
            colours[entry.label]: [mean(entry.result, key) for key in keys]
            for entry in entries
            if keys[0] in entry.result.metrics
        }
        if means:
            found.append(Figure(title, Markup(figures.bars(means, labels, "abs_rel"))))
    return found


def _baselines(entries: Sequence[Entry]) -> list[Any]:
    return list(tables.baselines(entries).values())


def _behind(entries: Sequence[Entry]) -> list[str]:
    """On how many images a model is behind a baseline predictor, which sees nothing."""
    sentences = []
    for entry in entries:
        for name, baseline in entry.baselines.items():
            if baseline.names != entry.result.names:
                continue
            worse = int(np.sum(entry.result.metrics["abs_rel"] > baseline.metrics["abs_rel"]))
            sentences.append(f"{entry.label} is behind “{name}” on {worse} of {len(baseline.names)} images")
    return sentences


def _curves(entries: Sequence[Entry], colours: Mapping[str, str]) -> list[Figure]:
    """Training and validation loss, and every benchmark's abs_rel over the steps, of the runs that left their log."""
    by_label = {entry.label: entry for entry in entries}
    curves = {label: read_curves(entry) for label, entry in by_label.items()}
    found = []
    names = list(dict.fromkeys(name for one in curves.values() for name in one))
    wanted = {"train/total": "Training loss", "epoch/val_loss": "Validation loss"}
    wanted |= {name: f"{name[6:-8]}, at epochs' ends" for name in names if name.endswith("/abs_rel")}
    for name, title in wanted.items():
        points = {colours[label]: one[name] for label, one in curves.items() if name in one}
        if points:
            unit = "abs_rel" if name.endswith("abs_rel") else "loss"
            found.append(Figure(title, Markup(figures.lines(points, unit))))
    return found


def _images(entries: Sequence[Entry], opener: Opener, sink: Sink, count: int) -> dict[str, Any]:
    """The chosen images with their pictures and numbers, under the titles of their groups, and the depth's scale."""
    first = entries[0]
    values = first.result.metrics["abs_rel"]
    groups = image_rows.choose(values, count)
    if len(entries) > 1:
        change = np.abs(entries[1].result.metrics["abs_rel"] - values)
        groups["Changed most between the first two"] = [int(i) for i in np.argsort(-change, kind="stable")[:CHANGED]]
    sources = {entry.label: opener(entry) for entry in entries}
    rows = sorted({row for places in groups.values() for row in places})
    whole = image_rows.read_truths(sources[first.label], first, [first.result.indices[row] for row in rows])
    protocol = sources[first.label].protocol
    truths = {
        place: image_rows.shown_truth(protocol, depth, sources[first.label].reader.name(place))
        for place, depth in whole.items()
    }
    scale = image_rows.scale_of(list(truths.values()))
    made = {row: _image(entries, sources, row, whole, truths, scale, sink) for row in rows}
    shown = {f"{title} of {first.label}" if "first two" not in title else title: places
             for title, places in groups.items() if places}  # fmt: skip
    return {"groups": {title: [made[row] for row in places] for title, places in shown.items()}, "scale": scale}


def _image(
    entries: Sequence[Entry],
    sources: Mapping[str, Source],
    row: int,
    whole: Mapping[int, np.ndarray],
    truths: Mapping[int, np.ndarray],
    scale: image_rows.DepthScale,
    sink: Sink,
) -> dict[str, Any]:
    """One image: its name, the models' numbers, and the pictures."""
    first, place = entries[0], entries[0].result.indices[row]
    source, truth = sources[first.label], truths[place]
    like = image_rows.input_picture(source.reader, source.protocol, place, whole[place])
    pictures = [
        Picture("input", sink.add(like, False)),
        Picture("ground truth", sink.add(image_rows.truth_picture(truth, scale, like), True), "depth"),
    ]
    for entry in entries:
        depth = image_rows.model_depth(entry, sources[entry.label], place, whole[place])
        shown = sink.add(image_rows.depth_picture(depth, scale, like), False)
        wrong = sink.add(image_rows.error_picture(depth, truth, like), True)
        pictures += [Picture(f"{entry.label}: depth", shown, "depth"), Picture(f"{entry.label}: error", wrong, "error")]
    numbers = {
        entry.label: {m: entry.result.metrics[m][row] for m in ("abs_rel", "rmse", "a1") if m in entry.result.metrics}
        for entry in entries
    }
    return {"name": first.result.names[row], "numbers": numbers, "pictures": pictures}
