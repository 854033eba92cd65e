"""The one entry of every evaluation: protocols by name, a model or files → evaluations, sharded over processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from yacs.config import CfgNode

from mdtk.config import data_sets, set_of
from mdtk.config.sections import PUBLISHED_BASELINE
from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import build_eval_reader, build_reader
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.baselines import Trivial, evenly_spaced, from_grids
from mdtk.evaluation.ground_truth import GroundTruthReader, StoredGroundTruth, training_grids
from mdtk.evaluation.io import submission as benchmark
from mdtk.evaluation.io.provenance import collect_facts
from mdtk.evaluation.io.saving import save_predictions
from mdtk.evaluation.predictors import DatasetModel, ModelSource, Source
from mdtk.evaluation.scoring.evaluator import MODEL, Candidate, Evaluation, GroundTruth, Options, evaluate_all
from mdtk.evaluation.scoring.protocols import Protocol, get_protocol
from mdtk.evaluation.scoring.score import ScaleMode
from mdtk.evaluation.sharding import shard_batches, together

_TRIVIAL: dict[str, Trivial] = {}  # by configuration: an evaluation each epoch reads the training ground truth once


@dataclass(frozen=True)
class RunOptions:
    """What an evaluation does beside the protocol. `build_run_options` makes it from the configuration."""

    scale: ScaleMode = field(default_factory=ScaleMode)
    variant: str = ""  # of the protocols named without one
    batch_size: int = 16
    workers: int = 0  # loader processes, for images and for ground truth
    limit: int = 0  # evenly spaced images; 0: all
    trivial: bool = True  # score the trivial predictors too
    skip_empty: bool = False  # leave out images without a valid ground-truth pixel
    save_folder: Path | None = None  # keep the predictions here, as `saving.save_predictions` does
    score: bool = True  # False: predict (and save) only
    device: str | torch.device = "cpu"  # of a bare model; a `Source` knows its own
    ground_truth: str = ""  # a file of tools/export_gt_depth.py or a published gt_depths.npz; empty: the data set's own
    facts: Mapping[str, object] = field(default_factory=dict)  # put into every evaluation: checkpoint, …


def build_scale(cfg: CfgNode, stereo: bool | None = None) -> ScaleMode:
    """The scale of a model of this configuration. `stereo` overrides whether its depth is in stereo's unit."""
    stereo = cfg.DATA.STEREO if stereo is None else stereo
    alignment = cfg.EVAL.ALIGNMENT
    if alignment == "auto":
        alignment = "none" if stereo else "median"
    factor, origins = cfg.EVAL.SCALE_FACTOR, []
    if factor != 1.0:
        origins.append(f"EVAL.SCALE_FACTOR {factor:g}")
    baseline = set_of(cfg).BASELINE
    if stereo and alignment == "none" and baseline > 0:
        factor *= cfg.EVAL.STEREO_SCALE * PUBLISHED_BASELINE / baseline
        origins.append(f"stereo baseline {baseline:g} units, EVAL.STEREO_SCALE {cfg.EVAL.STEREO_SCALE:g}")
    return ScaleMode(alignment, factor, "; ".join(origins))


def build_run_options(cfg: CfgNode, stereo: bool | None = None, **others: object) -> RunOptions:
    """Options from EVAL and DATA; `others` are fields of `RunOptions` that no key holds."""
    if "device" not in others:
        others["device"] = distributed.pick_device(cfg.DEVICE)
    return RunOptions(
        build_scale(cfg, stereo),
        batch_size=cfg.EVAL.BATCH_SIZE,
        workers=cfg.DATA.WORKERS,
        limit=cfg.EVAL.LIMIT,
        **others,
    )


def build_protocol(cfg: CfgNode, name: str, variant: str = "") -> Protocol:
    """The row of that name, its depth range by EVAL.MIN_DEPTH and EVAL.MAX_DEPTH where those are set."""
    return get_protocol(name, variant).with_range(cfg.EVAL.MIN_DEPTH, cfg.EVAL.MAX_DEPTH)


def evaluate_protocols(
    source: Source | DatasetModel, cfg: CfgNode, names: Sequence[str], options: RunOptions | None = None
) -> list[Evaluation]:
    """Evaluates under each named protocol: of each, the model's `Evaluation`, then the trivial predictors'.

    `source`: a `Source`, or a model (a `DatasetModel`) in eval mode on `options.device`.
    Every process of a group calls this, and gets the same list. A dataset that is not there is an `MdtkError`.
    """
    options = options or build_run_options(cfg)
    return [one for name in names for one in evaluate_protocol(source, cfg, name, options)]


def evaluate_protocol(source: Source | DatasetModel, cfg: CfgNode, name: str, options: RunOptions) -> list[Evaluation]:
    """One protocol of `evaluate_protocols`."""
    source = build_source(source, cfg, options.device)
    protocol = build_protocol(cfg, name, options.variant)
    reader = build_eval_reader(protocol.dataset, cfg, protocol.split)
    indices = evenly_spaced(len(reader), options.limit)
    batches = shard_batches(indices, options.batch_size)
    predictions = gathered_predictions(source, protocol, reader, batches)
    if options.save_folder:
        save_predictions(options.save_folder, protocol, predictions, reader, batches)
    if not options.score:
        return []
    candidates = {MODEL: Candidate(predictions, options.scale)}
    facts = collect_facts(protocol, reader, indices) | {"predictions": source.words} | dict(options.facts)
    facts["ground_truth"] = options.ground_truth or "read from the data set"
    if options.trivial:
        trivial = trivial_predictor(cfg)
        candidates |= trivial_candidates(trivial, reader, batches, cfg, options.scale)
        facts["trivial_predictors"] = trivial.origin or f"left out: {trivial.reason}"
    depths = build_ground_truth(protocol, reader, batches, options)
    scoring = Options(options.scale, options.skip_empty, together)
    found = evaluate_all(protocol, candidates, depths, scoring)
    for evaluation in found.values():
        if len(evaluation.rows) + len(evaluation.empty) != len(indices):
            raise RuntimeError(f"{protocol.key}: {len(evaluation.rows)} rows of {len(indices)} images; a shard is lost")
    return [dataclasses.replace(one, facts=facts) for one in found.values()]


def build_source(
    model: Source | DatasetModel, cfg: CfgNode, device: str | torch.device, progress: bool = False
) -> Source:
    """`model` itself where it is a `Source`, else the bare model at the configuration's input size."""
    if hasattr(model, "predictions"):
        return model
    data = cfg.DATA
    return ModelSource(model, data.HEIGHT, data.WIDTH, device, cfg.EVAL.POST_PROCESS, data.WORKERS, progress)


def build_ground_truth(
    protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]], options: RunOptions
) -> GroundTruth:
    """The ground truth of the entries in `batches`: of the data set, or of the file that the options name."""
    if not options.ground_truth:
        return GroundTruthReader(reader, protocol.ground_truth, batches, options.workers)
    return StoredGroundTruth(options.ground_truth, [reader.name(index) for index in range(len(reader))], batches)


def gathered_predictions(
    source: Source, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]]
) -> Mapping[str, np.ndarray]:
    """This process's predictions; a failure of any process is raised on all."""
    found: list[Mapping[str, np.ndarray]] = []

    def make() -> list:
        found.append(source.predictions(protocol, reader, batches))
        return []

    together(make)
    return found[0]


def trivial_candidates(
    trivial: Trivial, reader: DatasetReader, batches: Sequence[Sequence[int]], cfg: CfgNode, scale: ScaleMode
) -> dict[str, Candidate]:
    """The trivial predictors as candidates: they are in metres, so the model's fixed factor does not apply to them."""
    names = [reader.name(index) for batch in batches for index in batch]
    maps = trivial.disparities(cfg.DATA.HEIGHT, cfg.DATA.WIDTH, aligned=scale.alignment != "none")
    metres = ScaleMode(scale.alignment)
    return {label: Candidate(dict.fromkeys(names, disparity), metres) for label, disparity in maps.items()}


def trivial_predictor(cfg: CfgNode) -> Trivial:
    """The trivial predictors of the training data (its first set); computed once a process and configuration."""
    node = data_sets(cfg)[0]
    key = f"{node.dump()}{cfg.ROOTS.dump()}{cfg.EVAL.BASELINE_FRAMES}"
    if key not in _TRIVIAL:
        _TRIVIAL[key] = build_trivial(node, cfg)
    return _TRIVIAL[key]


def build_trivial(node: CfgNode, cfg: CfgNode) -> Trivial:
    """The trivial predictors of the training set `node`; where it has no ground truth, the reason why not."""
    if cfg.EVAL.BASELINE_FRAMES <= 0:
        return Trivial(None, None, reason="EVAL.BASELINE_FRAMES is 0")
    try:
        reader = build_reader(node, cfg, node.TRAIN_SPLIT)
    except MdtkError as error:
        return Trivial(None, None, reason=f"no training data: {error}")
    grids, error = training_grids(reader, cfg.EVAL.BASELINE_FRAMES, node.HEIGHT, node.WIDTH, node.WORKERS)
    if not grids:
        return Trivial(None, None, reason=f"no training ground truth: {error}")
    return from_grids(grids, f"median of {len(grids)} ground truths of {node.NAME}, list {node.TRAIN_SPLIT}")


def export_benchmark(source: Source, cfg: CfgNode, folder: Path, batch_size: int) -> int:
    """Predicts the KITTI depth benchmark's test images into <folder>/%010d.png; returns how many."""
    protocol = dataclasses.replace(get_protocol("kitti_eigen"), name=benchmark.NAME, variant="", split=benchmark.SPLIT)
    reader = build_eval_reader(benchmark.DATASET, cfg, benchmark.SPLIT)
    batches = shard_batches(range(len(reader)), batch_size)

    def make() -> list[int]:
        indices = [index for batch in batches for index in batch]
        predictions = source.predictions(protocol, reader, batches)
        benchmark.export(predictions, [reader.name(index) for index in indices], indices, folder)
        return indices

    return len(together(make))
