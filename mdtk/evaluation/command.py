"""What tools/evaluate.py does: its arguments, the configuration, a model or files, every benchmark, results."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from mdtk.config import check, depth_range, differences, load_config, merge_mapping, override, read_recipe, set_of
from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import absent_reason
from mdtk.evaluation.benchmark import RunOptions, build_run_options, evaluate_protocol, export_benchmark
from mdtk.evaluation.io import submission as benchmark
from mdtk.evaluation.io.report import write_report
from mdtk.evaluation.io.results import console_table, summary_table, write_results, write_summary
from mdtk.evaluation.predictors import FileSource, ModelSource, Source
from mdtk.evaluation.scoring.evaluator import Evaluation
from mdtk.evaluation.scoring.protocols import PROTOCOLS, get_protocol
from mdtk.models.system import LoadedModel, load_model

FIVE = ("kitti_eigen", "kitti_eigen_benchmark", "nyuv2", "make3d", "cityscapes")
# Keys of MODEL that prediction may change; the others made the weights
FREE_MODEL_KEYS = ("MIN_DEPTH", "MAX_DEPTH", "PRETRAINED", "WEIGHTS", "WEIGHTS_PARTS")


FLAGS = {  # of tools/evaluate.py, and what each says as KEY VALUE
    "eval_mono": ("EVAL.ALIGNMENT", "median"),
    "eval_stereo": ("EVAL.ALIGNMENT", "none"),
    "no_median_scaling": ("EVAL.ALIGNMENT", "none"),
    "post_process": ("EVAL.POST_PROCESS", "true"),
}
VALUES = {"alignment": "EVAL.ALIGNMENT", "scale_factor": "EVAL.SCALE_FACTOR"}


@dataclass(frozen=True)
class Request:
    """The arguments of tools/evaluate.py."""

    checkpoint: str = ""
    config: str = ""
    overrides: Sequence[str] = ()
    datasets: Sequence[str] = ()
    variant: str = ""
    stereo: bool | None = None  # None: as the model was trained
    predictions: str = ""
    predictions_are: str = "disparity"
    output: str = ""
    save_predictions: bool = False
    no_eval: bool = False
    no_trivial: bool = False
    skip_empty: bool = False
    report: bool = False
    ground_truth: str = ""


def request_of(args: Mapping[str, Any]) -> Request:
    """Parsed arguments → `Request`: flags become KEY VALUE pairs, as do words behind --datasets from a key on."""
    fields = {key: value for key, value in args.items() if key not in FLAGS and key not in VALUES}
    words = fields["datasets"]
    first = next((place for place, word in enumerate(words) if word.isupper()), len(words))
    pairs = [word for flag, pair in FLAGS.items() if args[flag] for word in pair]
    pairs += [word for flag, key in VALUES.items() if args[flag] is not None for word in (key, args[flag])]
    fields["overrides"] = [*pairs, *words[first:], *fields["overrides"]]
    fields["datasets"] = words[:first]
    stereo = True if args["eval_stereo"] else False if args["eval_mono"] else None
    return Request(**fields, stereo=stereo)


def run(request: Request) -> None:
    """Evaluates as asked; prints a table a benchmark and the summary; exits with 1 where a benchmark failed."""
    if bool(request.checkpoint) == bool(request.predictions):
        raise MdtkError("give --checkpoint, or --predictions of another program (one of the two)")
    if request.predictions and request.save_predictions:
        raise MdtkError("--save_predictions keeps what a checkpoint predicts; --predictions are files already")
    cfg = _device_config(request)
    with distributed.process_group(cfg.DEVICE) as device:
        source, cfg, facts = _build_source(request, device)
        names = _distinct(list(request.datasets) or default_datasets(cfg), request.variant)
        folder = _folder(request, cfg)
        options = build_run_options(
            cfg,
            request.stereo,
            device=device,
            variant=request.variant,
            trivial=not request.no_trivial,
            skip_empty=request.skip_empty,
            save_folder=folder / "predictions" if request.save_predictions else None,
            score=not request.no_eval,
            ground_truth=request.ground_truth,
            facts=facts,
        )
        _run_all(source, cfg, names, options, folder, request.report)


def _distinct(names: Sequence[str], variant: str) -> list[str]:
    """The names, of those with one row the first; a wrong name is refused before anything is predicted."""
    keys = {name: name if name == benchmark.NAME else get_protocol(name, variant).key for name in names}
    return [name for place, name in enumerate(names) if keys[name] not in [keys[other] for other in names[:place]]]


def default_datasets(cfg: CfgNode) -> list[str]:
    """EVAL.PROTOCOLS, else the five benchmarks, or `sequence` for a model of one's own frames."""
    return list(cfg.EVAL.PROTOCOLS) or (["sequence"] if cfg.DATA.NAME == "sequence" else list(FIVE))


def _run_all(
    source: Source, cfg: CfgNode, names: Sequence[str], options: RunOptions, folder: Path, report: bool
) -> None:
    found: list[Evaluation] = []
    missing = {name: reason for name in names if (reason := absent(name, cfg))}
    failed: dict[str, str] = {}
    for name, reason in missing.items():
        _say(f"not there: {name}: {reason}")
    for name in names:
        if name in missing:
            continue
        try:
            found += _run_one(source, cfg, name, options, folder, report)
        except MdtkError as error:
            failed[name] = str(error)
    _finish(found, missing | failed, folder, options.score)
    if failed:
        _say("\n".join(f"error: {reason}" for reason in failed.values()), sys.stderr)
        sys.exit(1)
    if len(missing) == len(names):
        raise MdtkError("none of the benchmarks asked for is there; set their ROOTS or MDTK_DATASETS")


def _run_one(
    source: Source, cfg: CfgNode, name: str, options: RunOptions, folder: Path, report: bool
) -> list[Evaluation]:
    if name == benchmark.NAME:
        target = folder / "benchmark_predictions"
        count = export_benchmark(source, cfg, target, options.batch_size)
        _say(f"{name}: wrote {count} PNGs to {target}\n")
        return []
    evaluations = evaluate_protocol(source, cfg, name, options)
    if options.save_folder:
        _say(f"{name}: predictions are in {options.save_folder}")
    if evaluations and distributed.is_main():
        paths = write_results(folder, evaluations)
        if report:
            paths.append(write_report(folder, evaluations, source, cfg))
        print(f"{console_table(evaluations)}\n\n  wrote {', '.join(map(str, paths))}\n", flush=True)
    return evaluations


def _finish(found: Sequence[Evaluation], missing: dict[str, str], folder: Path, scored: bool) -> None:
    if not (found and scored and distributed.is_main()):
        return
    paths = write_summary(folder, found, missing)
    print(f"Summary\n\n{summary_table(found)}\n")
    if missing:
        print(f"no result: {', '.join(missing)}")
    print(f"wrote {', '.join(map(str, paths))}", flush=True)


def absent(name: str, cfg: CfgNode) -> str:
    """Why the benchmark's data is not there, or an empty text; looks for the data root only."""
    return absent_reason(benchmark.DATASET if name == benchmark.NAME else PROTOCOLS[name].dataset, cfg)


def _device_config(request: Request) -> CfgNode:
    """The configuration as far as it is known before the checkpoint: where to compute."""
    return load_config(request.config or None, request.overrides)


def _build_source(request: Request, device) -> tuple[Source, CfgNode, dict[str, object]]:
    if request.predictions:
        cfg = load_config(request.config or None, request.overrides)
        return FileSource(request.predictions, request.predictions_are), cfg, {"device": str(device)}
    model = load_model(request.checkpoint, device)
    cfg = merged_config(model, request.config, request.overrides)
    model = dataclasses.replace(model, cfg=cfg)
    facts = {
        "checkpoint": str(model.path),
        "checkpoint_sha256": model.checksum,
        "trained_on": f"{cfg.DATA.NAME}, list {cfg.DATA.TRAIN_SPLIT}",
        "model_depth_range": list(depth_range(set_of(cfg), cfg)),
        "device": str(device),
        "precision": cfg.SOLVER.PRECISION,
    }
    source = ModelSource(
        model.disparity,
        cfg.DATA.HEIGHT,
        cfg.DATA.WIDTH,
        device,
        cfg.EVAL.POST_PROCESS,
        cfg.DATA.WORKERS,
        progress=distributed.is_main() and sys.stderr.isatty(),
    )
    return source, cfg, facts


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


def _folder(request: Request, cfg: CfgNode) -> Path:
    if request.output:
        return Path(request.output)
    if request.checkpoint:
        checkpoint = Path(request.checkpoint)
        return checkpoint.parent / "evaluation" / checkpoint.stem
    return Path(cfg.OUT_DIR) / "evaluation" / Path(request.predictions).stem


def _say(text: str, stream=None) -> None:
    if distributed.is_main():
        print(text, file=stream or sys.stdout, flush=True)
