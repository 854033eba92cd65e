"""How a prediction of unknown scale is brought to the ground truth's: rows of data, one for each published meaning.

A row says in which space scale and shift are fitted, how, over what, and what becomes of values out of range. Another
package adds one with `register_alignment(row)`. Sources: docs/protocols.md, "Scale".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry
from mdtk.evaluation.scoring.fits import FITS, Solution, Summary, median, median_ratio

__all__ = ["ALIGNMENTS", "Alignment", "align", "median", "median_ratio", "register_alignment"]

SPACES = ("depth", "disparity", "log_depth")
SCOPES = {"image": "each image", "sequence": "each recording", "set": "all images together"}
CAP, MAX_GT = "cap", "max_gt"  # values of `Alignment.floor` beside numbers
# What a map of predictions holds, and the space of its values. "affine": known up to scale and shift alone
KINDS = {"disparity": "depth", "depth": "depth", "affine_disparity": "disparity", "affine_depth": "depth"}


@dataclass(frozen=True)
class Alignment:
    """One meaning of "aligned". Depth is in metres, disparity is 1 / depth."""

    name: str
    description: str
    space: str = "depth"  # of the fit, one of SPACES
    fit: str = "none"  # a key of FITS
    scope: str = "image"  # a key of SCOPES: what one scale and shift serve
    positive_only: bool = False  # predictions of 0 and below take no part in the fit
    raised_to: float = 0.0  # predictions are raised to this disparity before anything else; 0: they are not
    gt_epsilon: float = 0.0  # added to the ground truth before it is inverted for the fit
    floor: float | str = 0.0  # of aligned disparity: a number, CAP (1 / the protocol's maximum), MAX_GT (the image's)
    inverse_epsilon: float = 0.0  # depth is 1 / (disparity + this)
    below_zero: str = "far"  # aligned disparity that is not positive becomes depth inf ("far") or 0 ("near")
    subsampled: int = 0  # the fit sees one pixel for each cell of a grid of so many rows and columns; 0: all
    clamped: bool = True  # whether the protocol's clamp follows
    depth_floor: float = 0.0  # minimum depth after that

    def __post_init__(self) -> None:
        if self.space not in SPACES or self.fit not in FITS or self.scope not in SCOPES:
            raise MdtkError(
                f"alignment {self.name}: space is one of {', '.join(SPACES)}, fit of {', '.join(FITS)}, "
                f"scope of {', '.join(SCOPES)}"
            )
        if self.scope != "image" and FITS[self.fit].summary is None:
            raise MdtkError(f"alignment {self.name}: the fit {self.fit} serves one image only; set scope to image")

    def fields(self) -> dict[str, object]:
        """The row as plain values, for results."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Aligned:
    """Depth after alignment. `shift` is in the fit's space; `floor` is the minimum of disparity that was used."""

    depth: np.ndarray
    scale: float
    shift: float = 0.0
    floor: float = 0.0


ALIGNMENTS: Registry[Alignment] = Registry("alignment")


def register_alignment(row: Alignment) -> Alignment:
    """Puts a row under its name."""
    ALIGNMENTS.register(row.name)(row)
    return row


def check_kind(alignment: Alignment, kind: str) -> None:
    """Raises `MdtkError` where predictions that are `kind` have no depth after `alignment`."""
    if not kind.startswith("affine"):
        return
    space = KINDS[kind]
    if alignment.space != space or not FITS[alignment.fit].shifts:
        able = [name for name, row in ALIGNMENTS.items() if row.space == space and FITS[row.fit].shifts]
        raise MdtkError(
            f"predictions that are {kind} have no depth under the alignment {alignment.name}; "
            f"give --alignment one of {', '.join(able)}"
        )


def _prediction_in(alignment: Alignment, pred: np.ndarray, given: str) -> np.ndarray:
    """The prediction in the space of the fit; `given` is the space of its values, depth or disparity."""
    if alignment.space == "log_depth":
        return np.asarray(np.log(pred))
    values: np.ndarray = 1 / pred if given != alignment.space else pred
    return np.asarray(np.maximum(values, alignment.raised_to)) if alignment.raised_to else values


def _truth_in(alignment: Alignment, gt: np.ndarray) -> np.ndarray:
    if alignment.space == "log_depth":
        return np.asarray(np.log(gt))
    truth: np.ndarray = 1 / (gt + alignment.gt_epsilon) if alignment.space == "disparity" else gt
    return truth


def _fitted(
    alignment: Alignment, gt: np.ndarray, pred: np.ndarray, given: str, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """(truth, prediction) in the fit's space, of the pixels that the fit sees."""
    if alignment.subsampled and mask is not None:
        chosen = one_per_cell(mask, alignment.subsampled)
        gt, pred = gt[chosen], pred[chosen]
    x, y = _prediction_in(alignment, pred, given), _truth_in(alignment, gt)
    if alignment.positive_only and not (positive := x > 0).all():
        x, y = x[positive], y[positive]
    return y, x


def one_per_cell(mask: np.ndarray, cells: int) -> np.ndarray:
    """Places among the valid pixels of `mask` (H, W): in each cell of a grid the one nearest the cell's centre."""
    rows, columns = np.nonzero(mask)
    y, x = (rows + 0.5) * cells / mask.shape[0], (columns + 0.5) * cells / mask.shape[1]
    cell = np.minimum(y.astype(int), cells - 1) * cells + np.minimum(x.astype(int), cells - 1)
    distance = (y - np.floor(y) - 0.5) ** 2 + (x - np.floor(x) - 0.5) ** 2
    order = np.lexsort((distance, cell))
    return np.sort(order[np.unique(cell[order], return_index=True)[1]])


def solve(
    alignment: Alignment,
    gt: np.ndarray,
    pred: np.ndarray,
    kind: str,
    given: str = "depth",
    mask: np.ndarray | None = None,
) -> Solution:
    """(scale, shift) of one image; `kind` is of `fits.median`, `mask` (H, W) holds the places of the N pixels."""
    y, x = _fitted(alignment, gt, pred, given, mask)
    return FITS[alignment.fit].image(y, x, kind) if x.size else (0.0, 0.0)


def summarise(alignment: Alignment, gt: np.ndarray, pred: np.ndarray, kind: str, given: str = "depth") -> Summary:
    """What one image adds to a fit over several; see `combine`."""
    summary = FITS[alignment.fit].summary
    assert summary is not None, alignment.name
    y, x = _fitted(alignment, gt, pred, given, None)
    return summary(y, x, kind)


def combine(alignment: Alignment, summaries: Sequence[Summary], kind: str) -> Solution:
    """(scale, shift) of the images with these summaries."""
    combined = FITS[alignment.fit].combine
    assert combined is not None, alignment.name
    return combined(summaries, kind)


def floor_of(alignment: Alignment, cap: float | None, max_gt: float) -> float:
    """The minimum of aligned disparity, 1/m, under a protocol whose clamp ends at `cap`; 0: none."""
    if alignment.floor == CAP:
        return 1 / cap if cap else 0.0
    return 1 / max_gt if alignment.floor == MAX_GT else float(alignment.floor)


def apply(
    alignment: Alignment, solution: Solution, pred: np.ndarray, given: str = "depth", floor: float = 0.0
) -> np.ndarray:
    """Depth in metres of predictions of any shape after scale and shift; `floor` is of `floor_of`."""
    scale, shift = solution
    if alignment.space == "log_depth":
        return np.asarray(pred * np.exp(shift))
    if alignment.space == "depth":
        return np.asarray(pred * scale + shift)
    disparity: np.ndarray
    if alignment.raised_to:
        disparity = scale * _prediction_in(alignment, pred, given) + shift
    else:  # dividing keeps the last bit of what was published as s / depth + t
        disparity = scale / pred + shift if given == "depth" else scale * pred + shift
    if floor:
        disparity = np.maximum(disparity, floor)
    depth = np.full_like(disparity, np.inf if alignment.below_zero == "far" else 0.0)
    np.divide(1.0, disparity + alignment.inverse_epsilon, out=depth, where=disparity > 0)
    return depth


def clamp(alignment: Alignment, depth: np.ndarray, limits: tuple[float | None, float | None]) -> np.ndarray:
    """Depth within the protocol's `limits`, where the alignment has them, and above the alignment's own minimum."""
    low, high = limits
    if alignment.clamped and not (low is None and high is None):
        depth = np.clip(depth, low, high)
    return np.maximum(depth, alignment.depth_floor) if alignment.depth_floor else depth


def align(
    gt: np.ndarray,
    pred: np.ndarray,
    name: str,
    kind: str,
    given: str = "depth",
    mask: np.ndarray | None = None,
    cap: float | None = None,
    shared: Solution | None = None,
) -> Aligned:
    """Aligns `pred` (N,) to the depth `gt` (N,), both float64; `given` is the space of `pred`, depth or disparity.

    `kind` is of `fits.median`; `cap` is the end of the protocol's clamp; `shared` is the solution of an alignment whose
    scope is wider than the image.
    """
    row = ALIGNMENTS[name]
    solution = solve(row, gt, pred, kind, given, mask) if shared is None else shared
    floor = floor_of(row, cap, float(gt.max()))
    scale = float(np.exp(solution[1])) if row.space == "log_depth" else solution[0]
    shift = 0.0 if row.space == "log_depth" else solution[1]
    return Aligned(apply(row, solution, pred, given, floor), scale, shift, floor)


for _row in (
    Alignment("none", "predicted depth is taken as metres"),
    Alignment(
        "median",
        "each image's depth is multiplied by median(ground truth) / median(prediction) over its valid pixels",
        fit="median",
    ),
    Alignment(
        "global_median",
        "all images' depth is multiplied by one factor, the median over images of "
        "median(ground truth) / median(prediction)",
        fit="median",
        scope="set",
    ),
    Alignment(
        "scale",
        "each image's depth is multiplied by the factor of least squares, Σ g p / Σ p²",
        fit="least_squares_scale",
    ),
    Alignment(
        "log_scale",
        "each image's depth is multiplied by exp(mean(ln g − ln p)), the factor of least squares in log depth",
        space="log_depth",
        fit="mean_shift",
    ),
    Alignment(
        "scale_shift",
        "each image's disparity gets the scale and shift of least squares against 1 / ground truth",
        space="disparity",
        fit="least_squares",
    ),
    Alignment(
        "midas",
        "each image's disparity gets the scale and shift of least squares (MiDaS, DPT); it is at least 1 / the "
        "protocol's maximum",
        space="disparity",
        fit="normal_equations",
        floor=CAP,
    ),
    Alignment(
        "marigold",
        "each image's depth gets the scale and shift of least squares (Marigold's least_square), is clamped to the "
        "protocol's range and is at least 1e-6 m",
        fit="least_squares",
        depth_floor=1e-6,
    ),
    Alignment(
        "marigold_disparity",
        "each image's disparity gets the scale and shift of least squares over pixels whose prediction is positive "
        "(Marigold's least_square_disparity); it is at least 1e-3",
        space="disparity",
        fit="least_squares",
        positive_only=True,
        floor=1e-3,
        depth_floor=1e-6,
    ),
    Alignment(
        "slowtv",
        "each image's disparity d gets the scale and shift of least squares (SlowTV, monodepth_benchmark, MDEC); depth "
        "is 1 / (d + 1e-5), and 0 where d is not positive, before the protocol's clamp; ground truth is inverted alike",
        space="disparity",
        fit="normal_equations",
        gt_epsilon=1e-5,
        inverse_epsilon=1e-5,
        below_zero="near",
    ),
    Alignment(
        "moge_scale",
        "each image's depth is multiplied by the factor that minimises Σ |g − s p| / g over one pixel for each cell of "
        "a 64x64 grid (MoGe); nothing is clamped",
        fit="robust_scale",
        subsampled=64,
        clamped=False,
    ),
    Alignment(
        "moge_affine_depth",
        "each image's depth gets the scale and shift that minimise Σ |g − s p − t| / g over one pixel for each cell of "
        "a 64x64 grid (MoGe); nothing is clamped but below 1e-6 m, where a logarithm has no value",
        fit="robust_line",
        subsampled=64,
        clamped=False,
        depth_floor=1e-6,
    ),
    Alignment(
        "moge_affine_disparity",
        "each image's disparity gets the scale and shift of least squares (MoGe); it is at least 1 / the image's "
        "maximum of ground truth, and nothing else is clamped",
        space="disparity",
        fit="least_squares",
        floor=MAX_GT,
        clamped=False,
    ),
    Alignment(
        "video_depth_anything",
        "each recording's disparity, which is at least 1e-3, gets one scale and shift of least squares against "
        "1 / (g + 1e-8) (Video-Depth-Anything); it is at least 1e-3 afterwards",
        space="disparity",
        fit="least_squares",
        scope="sequence",
        raised_to=1e-3,
        gt_epsilon=1e-8,
        floor=1e-3,
    ),
):
    register_alignment(_row)
