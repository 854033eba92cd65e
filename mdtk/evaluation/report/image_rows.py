"""The images of a report: which ones, and their pictures: input, ground truth, every model's depth and error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mdtk import viz
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.benchmark import open_ground_truth
from mdtk.evaluation.predictors import kind_of, predicted_disparities
from mdtk.evaluation.report.entries import Entry
from mdtk.evaluation.report.sources import Source
from mdtk.evaluation.scoring.protocols import Protocol
from mdtk.evaluation.scoring.score import ScaleMode, aligned_depth, pair, score

PICTURES = 3  # worst, median and best images each
ERROR_LIMIT = 0.3  # relative error of the error map's last colour
WIDTH = 640  # of a picture, pixels
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 80, 160)  # metres, of the colour bar


@dataclass(frozen=True)
class DepthScale:
    """The colours of depth: the logarithm of metres, `near` bright to `far` dark."""

    near: float
    far: float

    def picture(self, depth: np.ndarray) -> np.ndarray:
        """A map (H, W) in metres in these colours, (H, W, 3) uint8; 0 is unknown, black."""
        with np.errstate(divide="ignore"):
            values = np.where(depth > 0, -np.log(depth), np.nan)
        return viz.colour_map(values, -np.log(self.far), -np.log(self.near))

    def ticks(self) -> list[tuple[float, str]]:
        """(place in percent from the near end, metres as text) of the colour bar."""
        whole = np.log(self.far / self.near)
        inside = [(100 * float(np.log(tick / self.near) / whole), f"{tick:g}") for tick in TICKS]
        marks = [(place, text) for place, text in inside if 8 < place < 88]  # clear of the ends' own
        return [(0.0, f"{self.near:.2g}"), *marks, (100.0, f"{self.far:.3g} m")]


def choose(values: np.ndarray, count: int = PICTURES) -> dict[str, list[int]]:
    """The places of the highest, middle and lowest values, `count` each, none twice."""
    order = [int(place) for place in np.argsort(values, kind="stable")]
    count = min(count, max(1, len(order) // 3))
    best, rest = order[:count], order[count:]
    worst, rest = (rest[-count:][::-1], rest[:-count]) if rest else ([], [])
    middle = rest[max(0, (len(rest) - count) // 2) :][:count]
    return {"Worst images": worst, "Median images": middle, "Best images": best}


def scale_of(truths: Sequence[np.ndarray]) -> DepthScale:
    """The scale over the valid depths (0: none) of all shown images, from their 2nd to their 98th percentile."""
    depths = np.concatenate([truth[truth > 0] for truth in truths])
    near, far = (float(value) for value in np.percentile(depths, [2, 98]))
    return DepthScale(near, max(far, near * 1.2))


def shown_truth(protocol: Protocol, depth: np.ndarray, name: str) -> np.ndarray:
    """The part of a ground truth (H, W) that is scored; 0 where it does not count."""
    cut = protocol.cut(depth, name)
    return np.where(protocol.valid(cut), cut, 0.0).astype(np.float32)


def read_truths(source: Source, entry: Entry, places: Sequence[int]) -> dict[int, np.ndarray]:
    """The whole ground truths (H, W) in metres of these entries of the list, from where the result had them."""
    stored = str(entry.facts.get("ground_truth", ""))
    stored = "" if stored == "read from the data set" else stored
    batches = [[place] for place in places]
    truth = open_ground_truth(stored, source.protocol, source.reader, batches, 0)
    return {index: depth for index, _, depth in truth}


def model_depth(entry: Entry, source: Source, place: int, truth: np.ndarray) -> np.ndarray:
    """The depth (H, W) in metres of the scored part that the result's row was measured on, everywhere.

    The image is aligned anew; an alignment over more than the image takes scale and shift from the result.
    """
    protocol, stored = source.protocol, entry.stored()
    index, name = place, source.reader.name(place)
    scale = ScaleMode(str(stored["alignment"]), float(stored["factor"]))
    kind = kind_of(source.predictor)
    values = predicted_disparities(source.predictor, protocol, source.reader, [[index]])[name]
    both = pair(protocol, name, values, truth, scale.factor, kind)
    shared = None if scale.row.scope == "image" else _stored_fit(entry, index, scale)
    row = score(protocol, index, name, both, scale.alignment, shared)
    return aligned_depth(protocol, scale, row, values, kind)


def _stored_fit(entry: Entry, index: int, scale: ScaleMode) -> tuple[float, float]:
    row = entry.result.indices.index(index)
    fit = float(entry.result.scales[row]), float(entry.result.shifts[row])
    return (1.0, float(np.log(fit[0]))) if scale.row.space == "log_depth" else fit


def input_picture(reader: DatasetReader, protocol: Protocol, place: int, truth: np.ndarray) -> np.ndarray:
    """The input image (h, w, 3) uint8, cut to what the ground truth (H, W) is scored on."""
    image = np.asarray(reader.images(place, [0])[0])
    if protocol.window:
        image = cv2.resize(image, (truth.shape[1], truth.shape[0]), interpolation=cv2.INTER_AREA)
        top, left = truth.shape[0] - protocol.window.height, (truth.shape[1] - protocol.window.width) // 2
        image = image[max(top, 0) :, max(left, 0) :][: protocol.window.height, : protocol.window.width]
    return viz.resize_picture(image, min(WIDTH, image.shape[1]))


def truth_picture(truth: np.ndarray, scale: DepthScale, like: np.ndarray) -> np.ndarray:
    """Ground truth (H, W), 0 unknown, in the size of the picture `like`; sparse points widened, the nearest on top."""
    grow = _grow(truth)
    if grow:
        near = np.divide(1.0, truth, out=np.zeros_like(truth), where=truth > 0)
        near = cv2.dilate(near, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8))
        truth = np.divide(1.0, near, out=np.zeros_like(near), where=near > 0)
    return viz.resize_picture(scale.picture(truth), like.shape[1], like.shape[0])


def error_picture(depth: np.ndarray, truth: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The relative error where there is ground truth, in the size of the picture `like`."""
    picture = viz.error_map(depth, truth, ERROR_LIMIT, truth > 0, _grow(truth))
    return viz.resize_picture(picture, like.shape[1], like.shape[0])


def depth_picture(depth: np.ndarray, scale: DepthScale, like: np.ndarray) -> np.ndarray:
    """A model's depth (H, W) in the size of the picture `like`."""
    return viz.resize_picture(scale.picture(depth), like.shape[1], like.shape[0])


def _grow(truth: np.ndarray) -> int:
    """By how many pixels sparse points are widened, so that they stay visible when the picture shrinks."""
    return 0 if (truth > 0).mean() > 0.3 else max(1, round(truth.shape[1] / WIDTH))
