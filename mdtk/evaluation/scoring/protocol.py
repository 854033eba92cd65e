"""What an evaluation protocol is: a frozen row of data, registered as `benchmark/variant`; see `protocols`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry
from mdtk.evaluation.scoring.metrics import SEVEN
from mdtk.evaluation.scoring.regions import Box, Frame, Window

INTERPOLATIONS = {
    "bilinear": "bilinearly as OpenCV does (pixel centres at half-integers, corners not aligned)",
    "bilinear_aligned": "bilinearly with the corner pixels' centres aligned",
    "nearest": "to the nearest, floor(i · in/out) in float32 as torch does",
    "nearest_cv2": "to the nearest, floor(i · in/out) in float64 as OpenCV does",
}
NO_TRUTH = "none"  # the kind of ground truth of a protocol that needs none
MEDIANS = {"numpy": "the mean of the two middle values", "torch": "the lower of the two middle values"}


@dataclass(frozen=True)
class Protocol:
    """One evaluation. Depths are metres; a valid pixel has depth_min < ground truth < depth_max, both strict."""

    name: str
    variant: str
    title: str
    dataset: str
    split: str
    ground_truth: str  # kind, as the dataset's `ground_truth` takes it
    depth_min: float
    depth_max: float
    resized: str  # what is brought to the ground truth's size: "disparity" or "depth"
    interpolation: str  # a key of INTERPOLATIONS
    median: str  # a key of MEDIANS
    clamp: tuple[float | None, float | None]  # of the aligned prediction
    metrics: tuple[str, ...] = SEVEN
    frame: Frame | None = None
    window: Window | None = None  # of the ground truth, cut before the crop; see `score.depth_at` for predictions
    alignment: str = ""  # that the protocol prescribes, where EVAL.ALIGNMENT is auto; empty: as the model was trained
    crop: Box | None = None  # of the ground truth within the frame
    ratio_ddof: int = 0  # of the spread of scale ratios, std(ratio / median ratio)
    wider_split: str = ""  # a list that holds this one: predictions for all of it are scored on this one
    images: int = 0  # of the published list; 0: not stated, or the user's own
    range_changed: bool = False  # depth range by key, not as published

    @property
    def key(self) -> str:
        """`name/variant`, the row's key in PROTOCOLS."""
        return f"{self.name}/{self.variant}" if self.variant else self.name

    @property
    def label(self) -> str:
        """The key; with a changed range, that too."""
        return f"{self.key} ({self.depth_min:g} … {self.depth_max:g} m)" if self.range_changed else self.key

    def with_range(self, low: float, high: float) -> Protocol:
        """This protocol with another depth range: mask and clamp start at `low` and end at `high`; 0: as published."""
        if not (low or high):
            return self
        depth_min, depth_max = low or self.depth_min, high or self.depth_max
        if not depth_min < depth_max:
            raise MdtkError(f"{self.key}: EVAL.MIN_DEPTH {depth_min:g} must be below EVAL.MAX_DEPTH {depth_max:g}")
        clamp = (low or self.clamp[0], high or self.clamp[1])
        return replace(self, depth_min=depth_min, depth_max=depth_max, clamp=clamp, range_changed=True)

    def cut(self, depth_gt: np.ndarray, name: str) -> np.ndarray:
        """The part of a whole ground truth (H, W) that is scored, before the crop: its window, then its frame."""
        depth_gt = self.window.cut(depth_gt, name) if self.window else depth_gt
        return self.frame.cut(depth_gt, name) if self.frame else depth_gt

    def valid(self, depth_gt: np.ndarray) -> np.ndarray:
        """The pixels that count (H, W) bool: in range and in the crop."""
        mask = (depth_gt > self.depth_min) & (depth_gt < self.depth_max)
        if self.crop:
            inside = np.zeros_like(mask)
            inside[self.crop.slices(*depth_gt.shape)] = True
            mask &= inside
        return mask

    def describe(self) -> dict[str, str]:
        """What the protocol does, step → sentence, in the order of the steps."""
        if self.ground_truth == NO_TRUTH:
            return {
                "protocol": f"{self.label}: {self.title}",
                "data": f"{self.dataset}, list {self.split}, no ground truth",
                "valid_pixels": "all",
                "crop": "none",
                "alignment": "none: the motion's unit is the depth's",
                "metrics": "photometric error of warped and unwarped neighbours, the better of two at each pixel",
            }
        low, high = self.clamp
        ends = [f"below {low:g} m to {low:g} m"] if low is not None else []
        ends += [f"above {high:g} m to {high:g} m"] if high is not None else []
        bounds = f"{self.depth_min:g} m < depth"
        bounds += "" if math.isinf(self.depth_max) else f" < {self.depth_max:g} m"
        inverse = "then inverted to depth" if self.resized == "disparity" else "inverted to depth before it"
        return {
            "protocol": f"{self.label}: {self.title}",
            "data": f"{self.dataset}, list {self.split}, ground truth {self.ground_truth or 'of the data set'}",
            "ground_truth_frame": f"{self.frame.box.describe()} of {self.frame.full[1]}x{self.frame.full[0]}"
            if self.frame
            else self.window.describe() + "; predictions of the whole image are cut like the ground truth"
            if self.window
            else "the whole ground truth",
            "prediction": f"predicted disparity is resized to the ground truth's size, {inverse}"
            if self.resized == "disparity"
            else f"predicted {self.resized} is resized to the ground truth's size ({inverse})",
            "interpolation": INTERPOLATIONS[self.interpolation],
            "valid_pixels": f"{bounds}" + (", within the crop" if self.crop else ", no crop"),
            "crop": self.crop.describe() if self.crop else "none",
            "median": MEDIANS[self.median],
            "alignment": self.alignment or "as the model was trained",
            "clamp": f"after alignment, predictions {' and '.join(ends)}" if ends else "none",
            "metrics": ", ".join(self.metrics) + "; per image, then the mean over images",
            "ratio_spread": f"std(ratio / median ratio), ddof {self.ratio_ddof}",
        }


PROTOCOLS: Registry[Protocol] = Registry("protocol")


def register_protocol(row: Protocol) -> Protocol:
    """Puts a row under its key; the first row of a benchmark also answers to the benchmark's bare name."""
    if row.name not in PROTOCOLS:
        PROTOCOLS.register(row.name)(row)
    PROTOCOLS.register(row.key)(row)
    return row


def benchmarks() -> tuple[str, ...]:
    """The names of the benchmarks, each once, in the order in which their first rows were registered."""
    return tuple(dict.fromkeys(row.name for row in PROTOCOLS.values()))


def variants() -> tuple[str, ...]:
    """The names of all variants, sorted."""
    return tuple(sorted({row.variant for row in PROTOCOLS.values() if row.variant}))


def get_protocol(name: str, variant: str = "", asker: str = "EVAL.PROTOCOLS") -> Protocol:
    """The row `name`, or `name/variant` where there is such a row.

    "sequence_2" is the row `sequence` over the second training set of its dataset, as `catalogue.numbered` has it.
    An unknown name or variant is an error that begins with `asker`, the key or option that named it, and lists all.
    """
    bare, _, place = name.rpartition("_")
    if name not in PROTOCOLS and bare in PROTOCOLS and place.isdecimal() and int(place) > 1:
        row = get_protocol(bare, variant, asker)
        return replace(row, name=f"{row.name}_{place}", dataset=f"{row.dataset}_{place}")
    row = PROTOCOLS.find(name, asker)
    if variant and variant not in variants():
        raise MdtkError(f"unknown protocol variant {variant}; there are {', '.join(variants())}")
    return PROTOCOLS.get(f"{name}/{variant}", row)


@dataclass(frozen=True)
class Submission:
    """A benchmark without public ground truth: what its server takes.

    `form` png: a depth PNG for each image, value = metres × `png_scale`. `form` npz: one file of all disparities in the
    order of the list, float32 at the size of the prediction, under the name `pred`; only PNGs have the other fields.
    """

    protocol: Protocol  # its list of images; nothing is scored under it
    form: str = "png"
    height: int = 0  # pixels that a prediction is resized to
    width: int = 0
    max_depth: float = 0.0  # metres
    factor: float = 1.0  # depth = factor / scaled disparity, for models of every training, as the published export does
    png_scale: float = 256.0
