"""One protocol for one predictor over one dataset reader → evaluations, the work shared by all processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mdtk.core import distributed
from mdtk.core.spacing import evenly_spaced
from mdtk.datasets.prepare.contamination import contamination
from mdtk.datasets.reader import DatasetReader
from mdtk.datasets.splits import text_sha256
from mdtk.evaluation.baselines import Baselines
from mdtk.evaluation.eval_config import EvalConfig
from mdtk.evaluation.ground_truth import GroundTruthReader, StoredGroundTruth
from mdtk.evaluation.io import submission
from mdtk.evaluation.io.provenance import collect_provenance, image_format
from mdtk.evaluation.io.saving import save_predictions
from mdtk.evaluation.predictors import DepthPredictor, kind_of, predicted_disparities
from mdtk.evaluation.scoring.alignment import check_kind
from mdtk.evaluation.scoring.evaluator import MODEL, Candidate, Evaluation, GroundTruth, MapChoice, evaluate_all
from mdtk.evaluation.scoring.protocols import NO_TRUTH, Protocol, Submission
from mdtk.evaluation.scoring.score import ScaleMode
from mdtk.evaluation.scoring.temporal import TAE
from mdtk.evaluation.sequence_metrics import check_sequence, scope_note, with_temporal_error
from mdtk.evaluation.sharding import shard_batches, together
from mdtk.evaluation.unsupervised import evaluate_photometric


def evaluate_protocols(config: EvalConfig, predictor: DepthPredictor, names: Sequence[str]) -> list[Evaluation]:
    """Evaluates under each named protocol: of each, the predictor's `Evaluation`, then the baseline predictors'.

    Every process of a group calls this, and gets the same list. A dataset that is not there is an `MdtkError`.
    """
    protocols = [config.protocol(name) for name in config.names(names)]
    return [one for row in protocols for one in evaluate_protocol(config, row, predictor, config.reader(row))]


def evaluate_protocol(
    config: EvalConfig, protocol: Protocol, predictor: DepthPredictor, reader: DatasetReader
) -> list[Evaluation]:
    """One protocol of `evaluate_protocols`; with `config.score` False it only predicts and saves, and gives nothing."""
    indices = evenly_spaced(len(reader), config.limit)
    known = {
        "configuration": configuration(config, protocol, predictor, reader),
        "contamination": contamination(config.train_lists, reader, indices),
    }
    if protocol.ground_truth == NO_TRUTH:
        one = evaluate_photometric(config, protocol, predictor, reader)
        return [dataclasses.replace(one, provenance=dict(one.provenance) | known)]
    kind = kind_of(predictor)
    if TAE in config.map_metrics:
        check_sequence(reader)
    scale = config.scale_under(protocol, kind)
    if config.score:
        check_kind(scale.row, kind)  # before anything is predicted
    batches = shard_batches(indices, config.batch_size)
    if config.score:  # before anything is predicted: a file of another list is refused here
        depths = open_ground_truth(config.ground_truth, protocol, reader, batches, config.workers)
    predictions = shared_predictions(config, protocol, predictor, reader, batches)
    if not config.score:
        return []
    on_maps = tuple(name for name in config.map_metrics if name != TAE)
    maps = MapChoice(on_maps, _intrinsics_of(reader)) if on_maps else None
    baselines = config.baselines() if config.baselines else None
    candidates = {MODEL: Candidate(predictions, scale, kind)}
    candidates |= baseline_candidates(baselines, reader, batches, scale.alignment) if baselines else {}
    found = evaluate_all(protocol, candidates, depths, config.skip_empty, together, reader.recording, maps)
    if TAE in config.map_metrics:
        found = {
            label: with_temporal_error(one, candidates[label], reader, _intrinsics_of(reader), batches)
            for label, one in found.items()
        }
    for evaluation in found.values():
        if len(evaluation.rows) + len(evaluation.empty) != len(indices):
            raise RuntimeError(f"{protocol.key}: {len(evaluation.rows)} rows of {len(indices)} images; a shard is lost")
    provenance = collect_provenance(protocol, predictor, reader, indices) | dict(config.provenance) | known
    provenance["ground_truth"] = config.ground_truth or "read from the data set"
    if TAE in config.map_metrics:
        provenance["tae"] = scope_note(scale.row)
    if baselines:
        provenance["baseline_predictors"] = baselines.describe()
    return [dataclasses.replace(one, provenance=provenance) for one in found.values()]


def _intrinsics_of(reader: DatasetReader) -> Callable[[int, np.ndarray, Protocol], np.ndarray]:
    def of(index: int, depth_gt: np.ndarray, protocol: Protocol) -> np.ndarray:
        native = reader.images(index, [0])[0].size
        scored = protocol.cut(depth_gt, reader.name(index)).shape
        shown = scored if protocol.frame else depth_gt.shape  # a frame is what the reader's image shows
        K = reader.resized_intrinsics(index, native, (shown[1], shown[0])).copy()
        if protocol.window:
            K[:2, 2] -= ((depth_gt.shape[1] - scored[1]) // 2, depth_gt.shape[0] - scored[0])
        return K

    return of


def configuration(
    config: EvalConfig, protocol: Protocol, predictor: DepthPredictor, reader: DatasetReader
) -> dict[str, object]:
    """What two results must share to be the same one: known before anything is predicted."""
    scale = config.scale_under(protocol, kind_of(predictor))
    indices = evenly_spaced(len(reader), config.limit)
    return {
        "protocol": protocol.label,
        "checkpoint_sha256": config.provenance.get("checkpoint_sha256", ""),
        "predictions": predictor.describe(),
        "model_depth_range": config.provenance.get("model_depth_range"),
        "alignment": "none" if protocol.ground_truth == NO_TRUTH else scale.alignment,
        "factor": scale.factor,
        "list_sha256": text_sha256(reader.lines),
        "image_format": image_format(reader, indices),
        "images": len(indices),
        "ground_truth": config.ground_truth,
        "map_metrics": list(config.map_metrics),
    }


def shared_predictions(
    config: EvalConfig,
    protocol: Protocol,
    predictor: DepthPredictor,
    reader: DatasetReader,
    batches: Sequence[Sequence[int]],
) -> Mapping[str, np.ndarray]:
    """This process's scaled disparities by name, saved where that is asked for; a failure of any is raised on all."""
    found: list[Mapping[str, np.ndarray]] = []

    def make() -> list[None]:
        found.append(predicted_disparities(predictor, protocol, reader, batches))
        return []

    together(make)
    if config.save_predictions:
        save_predictions(config.folder / "predictions", protocol, found[0], reader, batches)
    return found[0]


def open_ground_truth(
    stored: str, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]], workers: int
) -> GroundTruth:
    """The ground truth of the entries in `batches`: of the file `stored`, or of the data set when that is empty."""
    if not stored:
        return GroundTruthReader(reader, protocol.ground_truth, batches, workers)
    return StoredGroundTruth(stored, [reader.name(index) for index in range(len(reader))], batches)


def baseline_candidates(
    baselines: Baselines, reader: DatasetReader, batches: Sequence[Sequence[int]], alignment: str
) -> dict[str, Candidate]:
    """The baseline predictors, which are in metres: the fixed factor of the model's scale does not apply to them."""
    names = [reader.name(index) for batch in batches for index in batch]
    maps = baselines.disparities(aligned=alignment != "none")
    metres = ScaleMode(alignment)
    return {label: Candidate(dict.fromkeys(names, disparity), metres) for label, disparity in maps.items()}


def export_submission(
    config: EvalConfig, row: Submission, predictor: DepthPredictor, reader: DatasetReader
) -> tuple[int, Path]:
    """Predicts the images of a benchmark without public ground truth, and writes what its server takes.

    Gives how many, and the file or folder: benchmark_predictions/%010d.png, or <name>_pred.npz, in the result folder.
    """
    batches = shard_batches(range(len(reader)), config.batch_size)
    predictions = shared_predictions(config, row.protocol, predictor, reader, batches)
    if row.form == "npz":
        stack = save_predictions(config.folder / "predictions", row.protocol, predictions, reader, batches)
        target = config.folder / f"{row.protocol.name}_pred.npz"
        if distributed.is_main():
            submission.export_stack(stack, target)
        distributed.barrier()
        return len(reader), target
    folder = config.folder / "benchmark_predictions"

    def write() -> list[int]:
        indices = [index for batch in batches for index in batch]
        submission.export(row, predictions, [reader.name(index) for index in indices], indices, folder)
        return indices

    return len(together(write)), folder
