"""What tools/evaluate.py does with its arguments: a predictor, one `EvalConfig`, every benchmark, results."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import torch
from yacs.config import CfgNode

from mdtk.config import data_sets, depth_range, load_config
from mdtk.config.machine import apply_float_settings
from mdtk.core import distributed
from mdtk.core.environment import hardware
from mdtk.core.errors import MdtkError
from mdtk.core.yaml_text import parse_yaml
from mdtk.datasets.prepare.contamination import TrainList, assumed_lists
from mdtk.evaluation.benchmark import configuration, evaluate_protocol, export_submission
from mdtk.evaluation.eval_config import EvalConfig, build_eval_config, merged_config
from mdtk.evaluation.io.results import check_overwrite, console_table, summary_table, write_results, write_summary
from mdtk.evaluation.predictors import DepthPredictor, PairModel, build_model_predictor, build_predictor
from mdtk.evaluation.report.entries import Entry
from mdtk.evaluation.report.page import write_report
from mdtk.evaluation.report.sources import Source, protocol_of
from mdtk.evaluation.robustness import corruption_names, corruptions_path, evaluate_corruptions, write_corruptions
from mdtk.evaluation.scoring.evaluator import Evaluation
from mdtk.evaluation.scoring.protocols import NO_TRUTH, SUBMISSIONS
from mdtk.evaluation.user_predictor import is_user_file, load_user_predictor
from mdtk.models import load_model

FIVE = ("kitti_eigen", "kitti_eigen_benchmark", "nyuv2", "make3d", "cityscapes")
# A predictor, its configuration, its part of the provenance, and the lists that it was trained on
Opened = tuple[DepthPredictor, CfgNode, dict[str, object], tuple[TrainList, ...]]
FLAGS = {  # of tools/evaluate.py, and what each says as KEY VALUE
    "eval_mono": ("EVAL.ALIGNMENT", "median"),
    "eval_stereo": ("EVAL.ALIGNMENT", "none"),
    "no_median_scaling": ("EVAL.ALIGNMENT", "none"),
    "post_process": ("EVAL.POST_PROCESS", "true"),
}
VALUES = {"alignment": "EVAL.ALIGNMENT", "scale_factor": "EVAL.SCALE_FACTOR"}


def run(args: argparse.Namespace) -> dict[str, str]:
    """Evaluates as asked, prints a table for each benchmark and the summary; gives what failed: benchmark → why."""
    chosen = [option for option in ("checkpoint", "predictions", "predictor") if getattr(args, option)]
    if len(chosen) != 1:
        raise MdtkError("give --checkpoint, or --predictions of another program, or --predictor (one of the three)")
    if args.predictions and args.save_predictions:
        raise MdtkError("--save_predictions keeps what a checkpoint predicts; --predictions are files already")
    if args.report:  # the page shows errors by distance
        args.map_metrics = list(dict.fromkeys([*args.map_metrics, "regions"]))
    pairs = pairs_of(args)
    with distributed.process_group(load_config(args.config or None, pairs).DEVICE) as device:
        predictor, cfg, provenance, lists = open_predictor(args, pairs, device)
        apply_float_settings(cfg)
        config = build_eval_config(
            cfg,
            stereo=True if args.eval_stereo else False if args.eval_mono else None,
            baselines=not args.no_baselines,
            score=not args.no_eval,
            folder=_folder(args, cfg),
            train_lists=lists,
            provenance=provenance | {"hardware": hardware(device)} | {"device": str(device)},
            **fields_named_alike(args),
        )
        names = args.datasets or default_benchmarks(cfg)
        corruptions = corruption_names(args.corruptions)
        failed = evaluate_benchmarks(config, predictor, names)
        if corruptions:
            _corrupted(config, predictor, [name for name in names if name not in failed], corruptions, args.kitti_c)
        return failed


def fields_named_alike(args: argparse.Namespace) -> dict[str, Any]:
    """The options that are fields of `EvalConfig` under the same name: a new one needs no line here."""
    names = {field.name for field in dataclasses.fields(EvalConfig)}
    given = {name: value for name, value in vars(args).items() if name in names}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def pairs_of(args: argparse.Namespace) -> list[str]:
    """All KEY VALUE pairs: those that a flag stands for, then those of the command line."""
    pairs = [word for flag, pair in FLAGS.items() if getattr(args, flag) for word in pair]
    given = {key: getattr(args, flag) for flag, key in VALUES.items()}
    pairs += [word for key, value in given.items() if value is not None for word in (key, value)]
    return [*pairs, *args.overrides]


def open_predictor(args: argparse.Namespace, pairs: Sequence[str], device: torch.device) -> Opened:
    """The predictor that the arguments name, and what belongs to it; see `Opened`."""
    if args.checkpoint:
        return _open_checkpoint(args.checkpoint, args.config, pairs, device)
    cfg = load_config(args.config or None, pairs)
    if args.predictions:
        return build_predictor("files", {"path": args.predictions, "gives": args.predictions_are}), cfg, {}, ()
    name, *options = args.predictor
    if is_user_file(name):
        return load_user_predictor(name, parse_options(options)), cfg, {"predictor": name}, ()
    return build_predictor(name, parse_options(options)), cfg, {"predictor": name}, ()


def _open_checkpoint(path: str, config: str, pairs: Sequence[str], device: torch.device) -> Opened:
    model = load_model(path, device)
    cfg = merged_config(model, config, pairs)
    model = dataclasses.replace(model, cfg=cfg)
    offsets = model.input_offsets
    pose = model.system.pose
    motion = _on(device, model.system.relative_pose) if pose is not None and pose.inputs == "pairs" else None
    predictor = build_model_predictor(cfg, model.disparity, device, offsets, motion=motion)
    provenance = {
        "checkpoint": str(model.path),
        "checkpoint_sha256": model.checksum,
        "trained_on": f"{cfg.DATA.NAME}, list {cfg.DATA.TRAIN_SPLIT}",
        "model_depth_range": list(depth_range(data_sets(cfg)[0], cfg)),
        "precision": cfg.SOLVER.PRECISION,
    }
    return predictor, cfg, provenance, model.train_lists or assumed_lists(model.cfg)


def _on(device: torch.device, motion: PairModel) -> PairModel:
    """The pose network for images that lie anywhere."""
    return lambda first, second: motion(first.to(device), second.to(device))


def parse_options(words: Sequence[str]) -> dict[str, object]:
    """`key=value` words, the values read as YAML: "block=5" → {"block": 5}."""
    options = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise MdtkError(f"--predictor takes a name and then option=value, not '{word}'")
        options[key] = parse_yaml(value, f"--predictor {word}")
    return options


def default_benchmarks(cfg: CfgNode) -> list[str]:
    """EVAL.PROTOCOLS, else the five benchmarks, and `sequence` for a model that saw one's own frames."""
    trained = {node.NAME for node in data_sets(cfg)}
    own = ["sequence"] if "sequence" in trained else []
    return list(cfg.EVAL.PROTOCOLS) or [*(FIVE if trained != {"sequence"} else ()), *own]


def _folder(args: argparse.Namespace, cfg: CfgNode) -> Path:
    if args.output:
        return Path(args.output)
    if args.checkpoint:
        checkpoint = Path(args.checkpoint)
        return checkpoint.parent / "evaluation" / checkpoint.stem
    return (
        Path(cfg.OUT_DIR)
        / "evaluation"
        / (Path(args.predictions).stem if args.predictions else Path(args.predictor[0]).name.replace(":", "_"))
    )


def evaluate_benchmarks(config: EvalConfig, predictor: DepthPredictor, names: Sequence[str]) -> dict[str, str]:
    """Every benchmark whose data is there, a failing one does not stop the others; gives benchmark → why it failed."""
    names = distinct(config.names(names), config)
    missing = {name: reason for name in names if (reason := config.absent_reason(_dataset(name, config)))}
    for name, reason in missing.items():
        _say(f"not there: {name}: {reason}")
    if len(missing) < len(names) and distributed.is_main():  # before an hour of predictions
        config.folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=config.folder).close()
    found: list[Evaluation] = []
    failed: dict[str, str] = {}
    for name in [name for name in names if name not in missing]:
        try:
            found += _evaluate_benchmark(config, predictor, name)
        except MdtkError as error:
            failed[name] = str(error)
    _finish(config, predictor, found, missing | failed)
    if failed:
        _say("\n".join(f"error: {reason}" for reason in failed.values()), sys.stderr)
    elif len(missing) == len(names):
        raise MdtkError("none of the benchmarks asked for is there; set their ROOTS or MDTK_DATASETS")
    return failed


def distinct(names: Sequence[str], config: EvalConfig) -> list[str]:
    """The names, of those with one row the first; a wrong name is refused before anything is predicted."""
    keys = {name: name if name in SUBMISSIONS else config.protocol(name, "--datasets").key for name in names}
    return [name for place, name in enumerate(names) if keys[name] not in [keys[other] for other in names[:place]]]


def _dataset(name: str, config: EvalConfig) -> str:
    return (SUBMISSIONS[name].protocol if name in SUBMISSIONS else config.protocol(name)).dataset


def _evaluate_benchmark(config: EvalConfig, predictor: DepthPredictor, name: str) -> list[Evaluation]:
    protocol = SUBMISSIONS[name].protocol if name in SUBMISSIONS else config.protocol(name)
    reader = config.reader(protocol)
    if config.score and name not in SUBMISSIONS and not config.overwrite:
        check_overwrite(config.folder, protocol, configuration(config, protocol, predictor, reader))
    evaluations: list[Evaluation] = []
    if name in SUBMISSIONS:
        count, target = export_submission(config, SUBMISSIONS[name], predictor, reader)
        _say(f"{name}: wrote {count} predictions to {target}\n")
    else:
        evaluations = evaluate_protocol(config, protocol, predictor, reader)
    if config.save_predictions:
        _say(f"{name}: predictions are in {config.folder / 'predictions'}")
    if evaluations and distributed.is_main():
        paths = write_results(config.folder, evaluations)
        print(f"{console_table(evaluations)}\n\n  wrote {', '.join(map(str, paths))}\n", flush=True)
    return evaluations


def _corrupted(
    config: EvalConfig, predictor: DepthPredictor, names: Sequence[str], corruptions: Sequence[str], folder: str
) -> None:
    """Every benchmark that is there, over corrupted images."""
    for name in distinct(config.names([name for name in names if name not in SUBMISSIONS]), config):
        protocol = config.protocol(name)
        if config.absent_reason(protocol.dataset):
            continue
        found = evaluate_corruptions(config, protocol, predictor, config.reader(protocol), corruptions, folder)
        _say(f"\n{found[1]}\n")
        if distributed.is_main():
            _say(f"  wrote {write_corruptions(corruptions_path(config, protocol, bool(folder)), found[0])}")


def _report(config: EvalConfig, predictor: DepthPredictor) -> Path:
    """The page over all results of the folder, with pictures of those that this predictor made."""

    def opener(entry: Entry) -> Source:
        protocol = protocol_of(entry)
        reader = config.reader(protocol)
        if entry.facts.get("configuration") != configuration(config, protocol, predictor, reader):
            raise MdtkError("an earlier evaluation made this result; mdtk report shows its pictures")
        return Source(protocol, reader, predictor)

    path, left_out = write_report([config.folder], config.folder / "report.html", opener)
    _say("\n".join(f"careful: {sentence}" for sentence in left_out))
    return path


def _finish(
    config: EvalConfig, predictor: DepthPredictor, found: Sequence[Evaluation], missing: Mapping[str, str]
) -> None:
    if not (found and distributed.is_main()):
        return
    paths = write_summary(config.folder, found, missing)
    if config.report and any(one.protocol.ground_truth != NO_TRUTH for one in found):
        paths.append(_report(config, predictor))
    print(f"Summary\n\n{summary_table(found)}\n")
    if missing:
        print(f"no result: {', '.join(missing)}")
    print(f"wrote {', '.join(map(str, paths))}", flush=True)


def _say(text: str, stream: TextIO | None = None) -> None:
    if distributed.is_main():
        print(text, file=stream or sys.stdout, flush=True)
