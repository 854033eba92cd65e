"""Metrics on maps, which need the places of pixels and K: point clouds, edges, boundaries, and abs_rel by region.

They are computed where they are asked for (--map_metrics) and stand beside the metrics on values. A value is NaN where
an image cannot have it (no pixel in a bin, sparse ground truth for edges); means leave those images out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.feature import canny

from mdtk.core.registry import Registry

THRESHOLDS = (0.05, 0.1, 0.2)  # metres, of the point-cloud F-score; 0.1 is the one that is printed
BINS = ((0, 20), (20, 40), (40, 80))  # metres
FAR_EDGE = 10.0  # pixels beyond which iBims-1 counts an edge as missing
PLANE = 10.0  # metres, of the directed depth error
DENSE = 0.5  # share of valid pixels below which ground truth has no edges of its own
NEAR_EDGE = 5  # pixels


@dataclass(frozen=True)
class Maps:
    """One image: ground truth and aligned, clamped prediction (H, W) in metres, valid pixels, and K (3, 3)."""

    gt: np.ndarray
    pred: np.ndarray
    valid: np.ndarray
    K: np.ndarray


MapFunction = Callable[[Maps], dict[str, float]]


@dataclass(frozen=True)
class MapMetric:
    """A metric on maps: a function that gives named values, and which of them are better when they are higher."""

    function: MapFunction
    higher_is_better: tuple[str, ...] = ()
    needs_camera: bool = False  # it looks at K

    @property
    def description(self) -> str:
        """The definition, which is the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


MAP_METRICS: Registry[MapMetric] = Registry("map metric")


def map_metric(name: str, *higher: str, needs_camera: bool = False) -> Callable[[MapFunction], MapFunction]:
    """A decorator that registers a function as the map metric `name`; `higher` names values that are better higher,
    `needs_camera` says that it looks at K."""

    def keep(function: MapFunction) -> MapFunction:
        MAP_METRICS.register(name)(MapMetric(function, higher, needs_camera))
        return function

    return keep


def points_of(depth: np.ndarray, valid: np.ndarray, K: np.ndarray) -> np.ndarray:
    """The valid pixels of a depth map (H, W) as points (N, 3) in metres in the camera's frame."""
    rows, columns = np.nonzero(valid)
    z = depth[rows, columns].astype(np.float64)
    return np.stack([(columns - K[0, 2]) / K[0, 0] * z, (rows - K[1, 2]) / K[1, 1] * z, z], axis=1)


def _distances(maps: Maps, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest distance of each predicted point to the truth's and the reverse, of every `step`-th point."""
    pred, truth = (points_of(depth, maps.valid, maps.K) for depth in (maps.pred, maps.gt))
    trees = [cKDTree(points, balanced_tree=False, compact_nodes=False) for points in (truth, pred)]
    queries = (pred[::step], truth[::step])
    found = [tree.query(points, workers=-1)[0] for tree, points in zip(trees, queries, strict=True)]
    return found[0], found[1]


def _names(mark: str) -> list[str]:
    return [f"{name}{mark}@{threshold:g}" for name in ("f_score", "iou") for threshold in THRESHOLDS]


def _cloud(maps: Maps, step: int, epsilon: float, mark: str) -> dict[str, float]:
    if not maps.valid.any():
        return {}
    to_truth, to_pred = _distances(maps, step)
    found = {f"chamfer{mark}": float(to_truth.mean() + to_pred.mean())}
    for threshold in THRESHOLDS:
        p, r = float(np.mean(to_truth < threshold)), float(np.mean(to_pred < threshold))
        nothing = p < 1e-3 and r < 1e-3
        found[f"f_score{mark}@{threshold:g}"] = 0.0 if nothing else 100 * 2 * p * r / (p + r + epsilon)
        found[f"iou{mark}@{threshold:g}"] = 0.0 if nothing else 100 * p * r / (p + r - p * r + epsilon)
    return found


@map_metric("point_cloud", *_names(""), needs_camera=True)
def point_cloud(maps: Maps) -> dict[str, float]:
    """F-score and IoU in percent at 0.05, 0.1, 0.2 m, and Chamfer distance in metres, of all points (Örnek et al.)."""
    return _cloud(maps, 1, 0.0, "")


@map_metric("point_cloud_slowtv", *_names("_slowtv"), needs_camera=True)
def point_cloud_slowtv(maps: Maps) -> dict[str, float]:
    """The same as SlowTV prints it: every other point asks for its nearest one, 1e-5 in the denominators."""
    return _cloud(maps, 2, 1e-5, "_slowtv")


def _dense(maps: Maps) -> bool:
    return bool(maps.valid.mean() >= DENSE)


def edges_of(depth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Edges (H, W) bool of a depth map: Canny's of log depth, σ 1, away from unknown pixels."""
    logs = np.log(np.maximum(np.where(valid, depth, 1.0), 1e-6))
    found: np.ndarray = canny(logs, sigma=1, mask=valid)  # type: ignore[no-untyped-call]
    return found


@map_metric("edges", "directed_equal")
def edges(maps: Maps) -> dict[str, float]:
    """iBims-1: edge accuracy and completeness in pixels, and shares on the right side of a plane at 10 m.

    As monodepth_benchmark computes them: accuracy is over predicted edges within 10 px of a true one, completeness over
    all true edges, however far a predicted one is; both are 10 where no predicted edge is within 10 px.
    """
    far_gt, far_pred = maps.gt[maps.valid] > PLANE, maps.pred[maps.valid] > PLANE
    found = {
        "directed_equal": float(np.mean(far_gt == far_pred)),
        "directed_near": float(np.mean(far_gt & ~far_pred)),
        "directed_far": float(np.mean(~far_gt & far_pred)),
        "edge_accuracy": float("nan"),
        "edge_completeness": float("nan"),
    }
    truth = edges_of(maps.gt, maps.valid) if _dense(maps) else np.zeros_like(maps.valid)
    if not truth.any():
        return found
    pred = edges_of(maps.pred, maps.valid)
    to_truth = ndimage.distance_transform_edt(~truth)
    near = to_truth[pred & (to_truth < FAR_EDGE)]
    found["edge_accuracy"] = float(near.mean()) if near.size else FAR_EDGE
    found["edge_completeness"] = float(ndimage.distance_transform_edt(~pred)[truth].mean()) if near.size else FAR_EDGE
    return found


def _ratio(part: float, whole: float) -> float:
    return part / max(whole, 1)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@map_metric("boundary_depth_pro", "boundary_f1_depth_pro")
def boundary_depth_pro(maps: Maps) -> dict[str, float]:
    """Depth-Pro's boundary F1: ratios of inverse depth of neighbours above 1.05 … 1.25, weighted by the threshold."""
    if not _dense(maps):
        return {"boundary_f1_depth_pro": float("nan")}
    total, thresholds = 0.0, np.linspace(1.05, 1.25, 10)
    inverse = [1 / np.maximum(np.where(maps.valid, depth, 1.0), 1e-6) for depth in (maps.pred, maps.gt)]
    ahead, behind = slice(1, None), slice(None, -1)
    sides = [((slice(None), one), (slice(None), other)) for one, other in ((ahead, behind), (behind, ahead))]
    sides += [((one, slice(None)), (other, slice(None))) for one, other in ((ahead, behind), (behind, ahead))]
    ratios = [
        [one[first] / one[second] for one in inverse] + [maps.valid[first] & maps.valid[second]]
        for first, second in sides
    ]
    for threshold in thresholds:
        scores = []
        for pred_ratio, gt_ratio, both in ratios:
            pred, truth = (pred_ratio > threshold) & both, (gt_ratio > threshold) & both
            hits = float((pred & truth).sum())
            scores.append((_ratio(hits, pred.sum()), _ratio(hits, truth.sum())))
        total += threshold * _f1(*np.mean(scores, axis=0))
    return {"boundary_f1_depth_pro": float(total / thresholds.sum())}


@map_metric("boundary_moge", *(f"boundary_f1_moge@{radius}" for radius in (1, 2, 3)))
def boundary_moge(maps: Maps) -> dict[str, float]:
    """MoGe's boundary F1: ratios of depth in discs of 1, 2, 3 px above 1 + (0.05 … 0.25), weighted by the threshold."""
    names = {radius: f"boundary_f1_moge@{radius}" for radius in (1, 2, 3)}
    if not _dense(maps):
        return dict.fromkeys(names.values(), float("nan"))
    return {name: _moge(maps, radius) for radius, name in names.items()}


def _moge(maps: Maps, radius: int) -> float:
    thresholds = np.linspace(0.05, 0.25, 10)
    hits, predicted, true = (np.zeros(thresholds.size) for _ in range(3))
    height, width = maps.valid.shape
    inner = (slice(radius, height - radius), slice(radius, width - radius))
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            if not 0 < y * y + x * x <= radius * radius:
                continue
            moved = (slice(radius + y, height - radius + y), slice(radius + x, width - radius + x))
            both = maps.valid[inner] & maps.valid[moved]
            ratios = [depth[moved][both] / depth[inner][both] for depth in (maps.pred, maps.gt)]
            for place, threshold in enumerate(thresholds):
                pred, truth = ratios[0] > 1 + threshold, ratios[1] > 1 + threshold
                hits[place] += (pred & truth).sum()
                predicted[place] += pred.sum()
                true[place] += truth.sum()
    scores = [_f1(_ratio(h, p), _ratio(h, t)) for h, p, t in zip(hits, predicted, true, strict=True)]
    return float(np.dot(thresholds, scores) / thresholds.sum())


@map_metric("regions")
def regions(maps: Maps) -> dict[str, float]:
    """abs_rel of pixels by depth (0–20, 20–40, 40–80 m), by third of the image, and near and far from a depth edge."""
    error = np.abs(maps.gt - maps.pred) / np.where(maps.valid, maps.gt, 1.0)
    parts = {f"{low}-{high}m": (maps.gt > low) & (maps.gt <= high) for low, high in BINS}
    rows = np.arange(maps.gt.shape[0])[:, None] * 3 // maps.gt.shape[0] + np.zeros_like(maps.gt, int)
    parts |= {name: rows == third for third, name in enumerate(("upper", "middle", "lower"))}
    if _dense(maps):
        distance = ndimage.distance_transform_edt(~edges_of(maps.gt, maps.valid))
        parts |= {"at_edges": distance < NEAR_EDGE, "off_edges": distance >= NEAR_EDGE}
    else:
        parts |= {"at_edges": np.zeros_like(maps.valid), "off_edges": np.zeros_like(maps.valid)}
    found = {}
    for name, part in parts.items():
        chosen = part & maps.valid
        found[f"abs_rel[{name}]"] = float(error[chosen].mean()) if chosen.any() else float("nan")
    return found
