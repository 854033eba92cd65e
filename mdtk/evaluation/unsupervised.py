"""Without ground truth: how well a frame is explained by its neighbours, seen through its depth and the motion.

The error of a pixel is the training's, 0.85 SSIM and 0.15 L1 (Godard et al. 2017), of the better of the two
neighbours, at the size of the prediction. Beside it stands the same error of the neighbours as they are: depth and
motion are worth something where the ratio is below 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from mdtk.core.errors import MdtkError
from mdtk.core.spacing import evenly_spaced
from mdtk.datasets.image_files import resize
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.eval_config import EvalConfig
from mdtk.evaluation.io.provenance import collect_provenance
from mdtk.evaluation.predictors import DepthPredictor, PairModel, predicted_disparities
from mdtk.evaluation.scoring.evaluator import MODEL, Evaluation
from mdtk.evaluation.scoring.protocols import Protocol
from mdtk.evaluation.scoring.score import Row, ScaleMode, check_prediction
from mdtk.evaluation.sharding import shard_batches, together
from mdtk.geometry.warp import warp
from mdtk.losses.per_pixel import Target, photometric_error

OFFSETS = (-1, 1)


def evaluate_photometric(
    config: EvalConfig, protocol: Protocol, predictor: DepthPredictor, reader: DatasetReader
) -> Evaluation:
    """The photometric error of a predictor of disparity or depth over the entries of `reader`.

    Motions come from the predictor's own pose network, else from the reader's poses, in metres; then depth is
    multiplied by the evaluation's factor. Raises `MdtkError` where there is neither, or no frame has a neighbour.
    """
    if predictor.gives.startswith("affine"):
        raise MdtkError(f"{protocol.key}: predictions known up to scale and shift have no points; give depth")
    motion = getattr(predictor, "motion", None)
    if motion is None:
        reader.pose(0)  # says what is missing before anything is predicted
    indices = evenly_spaced(len(reader), config.limit)
    batches = shard_batches(indices, config.batch_size)
    scale = ScaleMode("none", 1.0 if motion else config.scale.factor)

    def rows() -> list[Row]:
        maps = predicted_disparities(predictor, protocol, reader, batches)
        found = []
        for index in (index for batch in batches for index in batch):
            check_prediction(maps[reader.name(index)], reader.name(index))
            found.append(_row(reader, index, maps[reader.name(index)], motion, scale.factor))
        return found

    ordered = sorted(together(rows), key=lambda row: row.index)
    scored = tuple(row for row in ordered if row.metrics)
    if not scored:
        raise MdtkError(f"{protocol.key}: no frame has a neighbour; give a list of frames that follow each other")
    provenance = collect_provenance(protocol, predictor, reader, indices) | dict(config.provenance)
    provenance["motions"] = "the checkpoint's pose network" if motion else "poses of the data set"
    alone = tuple(row.name for row in ordered if not row.metrics)
    return Evaluation(protocol, MODEL, scale, scored, "disparity", alone, provenance)


def _row(reader: DatasetReader, index: int, disparity: np.ndarray, motion: PairModel | None, factor: float) -> Row:
    offsets = [offset for offset in OFFSETS if _there(reader, index, offset)]
    height, width = disparity.shape
    row = Row(index, reader.name(index), {}, height * width, 1.0, 0.0, height, width, recording=reader.recording(index))
    if not offsets:
        return row
    images = reader.images(index, [0, *offsets])
    K = torch.from_numpy(reader.resized_intrinsics(index, images[0].size, (width, height)))[None].float()
    frames = torch.from_numpy(np.stack([resize(image, (width, height)) for image in images])).float()[:, None] / 255
    depth = factor / torch.from_numpy(np.ascontiguousarray(disparity))[None, None].float()
    motions = list(_motions(reader, index, offsets, frames, motion))
    return dataclasses.replace(row, metrics=errors(frames[0], frames[1:], depth, K, motions))


def errors(
    target_b3hw: Tensor, sources_s_b3hw: Tensor, depth_b1hw: Tensor, K_b33: Tensor, source_T_targets: Sequence[Tensor]
) -> dict[str, float]:
    """Means over pixels of the better source's error: warped, not warped, and their ratio. Images are in 0 … 1."""
    target = Target(target_b3hw)
    pairs = list(zip(sources_s_b3hw, source_T_targets, strict=True))
    warped = [photometric_error(warp(source, depth_b1hw, K_b33, one), target) for source, one in pairs]
    unwarped = [photometric_error(source, target) for source in sources_s_b3hw]
    least = [float(torch.stack(several).min(0).values.double().mean()) for several in (warped, unwarped)]
    ratio = least[0] / least[1] if least[1] else float("nan")
    return {"photometric": least[0], "photometric_unwarped": least[1], "photometric_ratio": ratio}


@torch.no_grad()
def _motions(
    reader: DatasetReader, index: int, offsets: Sequence[int], frames: Tensor, motion: PairModel | None
) -> Iterator[Tensor]:
    """source_T_target (1, 4, 4) of each offset."""
    for place, offset in enumerate(offsets, start=1):
        if motion is None:
            found = np.linalg.inv(reader.pose(index, offset)) @ reader.pose(index)
            yield torch.from_numpy(found)[None].float()
        elif offset > 0:
            yield motion(frames[0], frames[place]).float().cpu()
        else:
            yield torch.linalg.inv(motion(frames[place], frames[0]).float().cpu())


def _there(reader: DatasetReader, index: int, offset: int) -> bool:
    try:
        return all(path.is_file() for path in reader.files(index, [offset]))
    except MdtkError:
        return False
