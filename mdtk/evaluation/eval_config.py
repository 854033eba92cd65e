"""What an evaluation does beside its protocol: one `EvalConfig`, made once from the configuration."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from mdtk.config import check, data_sets, differences, merge_mapping, override, read_recipe
from mdtk.config.sections import PUBLISHED_BASELINE, DataSection, EvalSection
from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import absent_reason, build_eval_reader, build_reader, rootless_sets
from mdtk.datasets.prepare.contamination import TrainList
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.baselines import Baselines
from mdtk.evaluation.ground_truth import read_baselines
from mdtk.evaluation.scoring.protocols import PROTOCOLS, Protocol, get_protocol
from mdtk.evaluation.scoring.score import ScaleMode
from mdtk.models import LoadedModel

# Keys of MODEL that prediction may change; the others made the weights
FREE_MODEL_KEYS = ("MIN_DEPTH", "MAX_DEPTH", "PRETRAINED", "WEIGHTS", "WEIGHTS_PARTS")


@dataclass(frozen=True)
class EvalConfig:
    """What an evaluation does beside its protocol and its predictor. `build_eval_config` makes it."""

    open_reader: Callable[[str, str], DatasetReader]  # dataset and list → its reader
    absent_reason: Callable[[str], str]  # dataset → why its data is not there; empty: it is
    baselines: Callable[[], Baselines] | None = None  # of the training data, read once; None: leave them out
    scale: ScaleMode = field(default_factory=ScaleMode)  # of the predictor that is evaluated
    scale_chosen: bool = True  # False: a protocol that prescribes an alignment, or an affine predictor, decides it
    sets: Mapping[str, int] = field(default_factory=dict)  # of a dataset without a root of its own: `rootless_sets`
    variant: str = ""  # of the protocols that are named without one
    depth_range: tuple[float, float] = (0.0, 0.0)  # metres, in place of the protocols' own; 0 0: their own
    batch_size: int = 16
    workers: int = 0  # loader processes for ground truth
    limit: int = 0  # evenly spaced images; 0: all
    score: bool = True  # False: predict (and save) only
    skip_empty: bool = False  # leave out images without a valid ground-truth pixel
    ground_truth: str = ""  # a file of tools/export_gt_depth.py or a published gt_depths.npz; empty: the data set's own
    folder: Path = Path("evaluation")  # of everything that is written
    save_predictions: bool = False  # keep the predictions in folder/predictions
    report: bool = False  # write a page with pictures for each benchmark
    train_lists: tuple[TrainList, ...] = ()  # of the model, for what of the test frames they hold
    map_metrics: tuple[str, ...] = ()  # keys of `map_metrics.MAP_METRICS`
    overwrite: bool = False  # replace the results of another configuration
    provenance: Mapping[str, object] = field(default_factory=dict)  # put into every result: checkpoint, …

    def protocol(self, name: str, asker: str = "EVAL.PROTOCOLS") -> Protocol:
        """The protocol of that name in this evaluation's variant and depth range.

        An unknown name is an error that begins with `asker`.
        """
        return get_protocol(name, self.variant, asker).with_range(*self.depth_range)

    def names(self, names: Sequence[str]) -> list[str]:
        """The names; after one whose dataset has several training sets, those of its others: sequence, sequence_2."""
        found = []
        for name in names:
            count = self.sets.get(PROTOCOLS[name].dataset, 1) if name in PROTOCOLS else 1
            found += [name, *(f"{name}_{place}" for place in range(2, count + 1))]
        return found

    def scale_under(self, protocol: Protocol, kind: str) -> ScaleMode:
        """The scale of predictions that are `kind` under a protocol: as chosen, else as one of these two has it."""
        if self.scale_chosen:
            return self.scale
        wanted = {"affine_disparity": "scale_shift", "affine_depth": "marigold"}.get(kind, "")
        if protocol.alignment and not (wanted and protocol.alignment == "none"):
            wanted = protocol.alignment
        return dataclasses.replace(self.scale, alignment=wanted or self.scale.alignment)

    def reader(self, protocol: Protocol) -> DatasetReader:
        """The dataset reader over a protocol's list; data that is not there is an error."""
        return self.open_reader(protocol.dataset, protocol.split)


def build_eval_config(
    cfg: CfgNode, *, stereo: bool | None = None, baselines: bool = True, **choices: Any
) -> EvalConfig:
    """The keys of EVAL, and the data that a configuration knows.

    `stereo` overrides whether predicted depth is in stereo's unit; `baselines` False leaves the baseline predictors
    out; `choices` are fields of `EvalConfig` that no key holds.
    """
    keys = EvalSection.of(cfg)
    return EvalConfig(
        open_reader=lambda dataset, split: build_eval_reader(dataset, cfg, split),
        absent_reason=lambda dataset: absent_reason(dataset, cfg),
        baselines=functools.cache(lambda: build_baselines(cfg)) if baselines else None,
        scale=build_scale(cfg, stereo),
        scale_chosen=keys.alignment != "auto",
        sets=rootless_sets(cfg),
        depth_range=(keys.min_depth, keys.max_depth),
        batch_size=keys.batch_size,
        workers=cfg.DATA.WORKERS,
        limit=keys.limit,
        **choices,
    )


def build_scale(cfg: CfgNode, stereo: bool | None = None) -> ScaleMode:
    """The scale of a model of this configuration. `stereo` overrides whether its depth is in stereo's unit."""
    keys, baseline = EvalSection.of(cfg), DataSection.of(data_sets(cfg)[0], "DATA").baseline
    posed = cfg.MODEL.POSE == "given"  # trained in the metres of its data's poses
    metric = (cfg.DATA.STEREO or posed) if stereo is None else stereo
    alignment = keys.alignment
    if alignment == "auto":
        alignment = "none" if metric else "median"
    factor, origins = keys.scale_factor, []
    if factor != 1.0:
        origins.append(f"EVAL.SCALE_FACTOR {factor:g}")
    if metric and not posed and alignment == "none" and baseline > 0:
        factor *= keys.stereo_scale * PUBLISHED_BASELINE / baseline
        origins.append(f"stereo baseline {baseline:g} units, EVAL.STEREO_SCALE {keys.stereo_scale:g}")
    return ScaleMode(alignment, factor, "; ".join(origins))


def build_baselines(cfg: CfgNode) -> Baselines:
    """The baseline predictors of the (first) training set; where it has no ground truth, they say why not."""
    node, frames = data_sets(cfg)[0], EvalSection.of(cfg).baseline_frames
    data = DataSection.of(node, "DATA")
    if frames <= 0:
        return Baselines(reason="EVAL.BASELINE_FRAMES is 0")
    try:
        reader = build_reader(node, cfg, data.train_split)
    except MdtkError as error:
        return Baselines(reason=f"no training data: {error}")
    name = f"{data.name}, list {data.train_split}"
    return read_baselines(reader, name, frames, data.workers)


def merged_config(model: LoadedModel, config: str, overrides: Sequence[str]) -> CfgNode:
    """The checkpoint's configuration, the recipe `config` over it, then KEY VALUE pairs.

    A key that made the weights (MODEL.ENCODER …) and differs is an error: the model comes from the checkpoint.
    """
    cfg = model.cfg.clone()
    cfg.defrost()
    cfg.EVAL.LIMIT = 0  # what training saw at its epochs' ends says nothing about this evaluation
    if config:
        merge_mapping(cfg, read_recipe(Path(config)), config)
    override(cfg, overrides)
    check(cfg)
    cfg.freeze()
    free = [f"MODEL.{key}" for key in FREE_MODEL_KEYS]
    others = [key for key in cfg if key != "MODEL"]
    if changed := differences(model.cfg, cfg, [*others, *free]):
        raise MdtkError(f"{model.path} was trained with another model ({changed[0]}); leave that key to the checkpoint")
    return cfg
