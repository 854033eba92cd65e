"""What a training needs before its first step: data, the last checkpoint, networks, optimizer, logs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from timm.layers import convert_sync_batchnorm
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from mdtk.config import data_sets, dump
from mdtk.config.sections import (
    CheckpointSection,
    DataSection,
    EvalSection,
    LogSection,
    ModelSection,
    RunSection,
    SolverSection,
)
from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.core.weights import load_parts, read_weights
from mdtk.data.loader import build_loader, build_train_data, build_val_loader
from mdtk.data.preparation import build_preparation
from mdtk.data.samples import MixedDataset
from mdtk.datasets.splits import text_sha256
from mdtk.evaluation.eval_config import EvalConfig, build_eval_config
from mdtk.losses.objective import build_objective
from mdtk.models.system import DepthSystem, build_model
from mdtk.training.checkpoint import LAST, Found, find_checkpoint, restore
from mdtk.training.compiled import compile_calls
from mdtk.training.logger import Logger
from mdtk.training.solver import build_average, build_optimizer
from mdtk.training.state import Run, TrainState
from mdtk.training.trackers import build_trackers


def set_up(cfg: CfgNode, device: torch.device, weights_file: Callable[[str], Path] = Path) -> tuple[Run, TrainState]:
    """Data, the last checkpoint where there is one, networks, optimizer, logs: what fails fast comes first."""
    torch.manual_seed(cfg.SEED)
    cfg = size_batch(cfg, distributed.world_size())
    out_dir = Path(cfg.OUT_DIR)
    dataset, sampler = build_train_data(cfg, distributed.rank(), distributed.world_size())
    if sampler.least < cfg.SOLVER.ACCUMULATE:
        raise MdtkError(
            f"SOLVER.ACCUMULATE {cfg.SOLVER.ACCUMULATE} is more parts than a process has samples ({sampler.least}); "
            "lower it, or raise SOLVER.BATCH_SIZE"
        )
    val_loader = build_val_loader(cfg, distributed.rank(), distributed.world_size(), device)
    eval_config = build_eval_config(cfg)
    check_protocols(eval_config, EvalSection.of(cfg).protocols)
    check_first_samples(dataset)
    lists = hash_lists(cfg, dataset, val_loader)
    found = find_checkpoint(out_dir, cfg, lists, say_once) if cfg.CHECKPOINT.RESUME else None
    system = build_networks(cfg, found is not None, weights_file)
    if cfg.MODEL.SYNC_BN and device.type == "cuda":  # CPUs have no such layer; `announce` says so
        system = convert_sync_batchnorm(system)  # timm's: it keeps the activations that timm fuses with norms
    system.to(device)
    state = TrainState(system, build_optimizer(cfg, system), build_average(cfg, system))
    if found is not None:
        restore(found, state, say_once)
    if len(set(distributed.gather_objects([state.step]))) > 1:
        raise MdtkError(
            f"not every process finds the same {out_dir / LAST}; OUT_DIR must be one folder that all machines share"
        )
    total = cfg.SOLVER.EPOCHS * sampler.steps_per_epoch
    total = min(total, cfg.SOLVER.MAX_STEPS or total)
    sampler.start_step, sampler.stop_step = state.step, total
    logger = build_logger(cfg, out_dir, state.step)
    wrapped, objective = distributed.wrap(system, device), build_objective(cfg)
    predict, compare = compile_calls(cfg.SOLVER.COMPILE, wrapped, objective, logger.say)
    run = Run(
        cfg=cfg,
        seed=RunSection.of(cfg).seed,
        data=DataSection.of(cfg),
        model=ModelSection.of(cfg),
        solver=SolverSection.of(cfg),
        evaluation=EvalSection.of(cfg),
        log=LogSection.of(cfg),
        checkpoints=CheckpointSection.of(cfg),
        device=device,
        out_dir=out_dir,
        wrapped=wrapped,
        predict=predict,
        compare=compare,
        sampler=sampler,
        loader=build_loader(dataset, sampler, min(cfg.DATA.WORKERS, os.cpu_count() or 1), device),
        val_loader=val_loader,
        prepare=build_preparation(cfg),
        prepare_plain=build_preparation(cfg, augmented=False),
        objective=objective,
        logger=logger,
        total_steps=total,
        eval_config=eval_config,
        lists=lists,
    )
    announce(run, state, len(dataset), found)
    return run, state


def build_logger(cfg: CfgNode, out_dir: Path, step: int) -> Logger:
    """The log of a training that starts or goes on at `step`; of other processes than the first, one that is silent."""
    if not distributed.is_main():
        return Logger(out_dir, False, step)
    return Logger(out_dir, True, step, build_trackers(cfg, out_dir, step))


def size_batch(cfg: CfgNode, processes: int) -> CfgNode:
    """The configuration with the batch and the rates that SOLVER.BATCH_PER_PROCESS means for so many processes.

    The linear rule of Goyal et al. 2017: k times the batch, k times the rate. Sizing what is sized changes nothing.
    """
    if not cfg.SOLVER.BATCH_PER_PROCESS:
        return cfg
    sized = cfg.clone()
    sized.defrost()
    solver = sized.SOLVER
    solver.BATCH_SIZE = solver.BATCH_PER_PROCESS * processes
    factor = solver.BATCH_SIZE / cfg.SOLVER.BATCH_SIZE
    solver.LR, solver.MIN_LR = solver.LR * factor, solver.MIN_LR * factor
    sized.freeze()
    if factor != 1:
        say_once(
            f"SOLVER.BATCH_PER_PROCESS {solver.BATCH_PER_PROCESS} x {processes} processes: the batch is "
            f"{solver.BATCH_SIZE} instead of {cfg.SOLVER.BATCH_SIZE}, so LR is {solver.LR:g} instead of "
            f"{cfg.SOLVER.LR:g}"
        )
    return sized


def build_networks(cfg: CfgNode, resumed: bool, weights_file: Callable[[str], Path]) -> DepthSystem:
    """The networks as the recipe starts them; those of a resumed training need no weights from elsewhere."""
    bare = cfg.clone()
    bare.defrost()
    bare.MODEL.PRETRAINED = False
    if resumed:
        return build_model(bare)
    with distributed.main_first():  # one process downloads, the others read its cache
        system = build_model(bare if _replaces_pretrained(cfg) else cfg)
        weights = weights_file(cfg.MODEL.WEIGHTS) if cfg.MODEL.WEIGHTS else None
    if weights is not None:
        content = read_weights(weights, with_configuration=False)
        load_parts(system, content["model"], cfg.MODEL.WEIGHTS_PARTS, cfg.MODEL.WEIGHTS)
    return system


def _replaces_pretrained(cfg: CfgNode) -> bool:
    """Whether MODEL.WEIGHTS holds all encoders, so that nobody would see ImageNet's weights: none are fetched then."""
    encoders = ["depth.encoder", *(["pose.encoder"] if cfg.MODEL.POSE == "separate" else [])]
    parts = list(cfg.MODEL.WEIGHTS_PARTS) or [""]
    return bool(cfg.MODEL.WEIGHTS) and all(any(f"{name}.".startswith(part) for part in parts) for name in encoders)


def hash_lists(cfg: CfgNode, dataset: MixedDataset, val_loader: DataLoader | None) -> dict[str, str]:
    """The sha256 of the entries of every training and validation list, by what a user calls it."""
    nodes = data_sets(cfg)
    lists = {
        f"{node.NAME} {node.TRAIN_SPLIT}": text_sha256(part.reader.lines)
        for node, part in zip(nodes, dataset.sets, strict=True)
    }
    if val_loader is not None:
        nodes = [node for node in nodes if node.VAL_SPLIT]
        assert isinstance(val_loader.dataset, MixedDataset)
        for node, part in zip(nodes, val_loader.dataset.sets, strict=True):
            lists[f"{node.NAME} {node.VAL_SPLIT} (validation)"] = text_sha256(part.reader.lines)
    return lists


def check_first_samples(dataset: MixedDataset) -> None:
    """Reads the first sample of each set: a wrong root is told before networks are built and downloaded."""
    for start, part in zip(dataset.starts, dataset.sets, strict=False):
        if len(part):
            dataset[0, 0, int(start)]


def say_once(text: str) -> None:
    """Prints a line before there is a logger, from one process."""
    if distributed.is_main():
        print(text, flush=True)


def check_protocols(config: EvalConfig, names: Sequence[str]) -> None:
    """Reads one image and its ground truth of each: what an epoch's end needs is missed now, not hours later."""
    for name in config.names(names):
        protocol = config.protocol(name)
        reader = config.reader(protocol)
        reader.images(0, [0])
        reader.ground_truth(0, protocol.ground_truth)


def describe_batch(run: Run) -> str:
    """How the samples of a step are divided."""
    least, rest = divmod(run.solver.batch_size, distributed.world_size())
    shares = f"{least} or {least + 1} samples each, every sample counting alike" if rest else f"{least} samples each"
    parts = f", in {run.solver.accumulate} parts" if run.solver.accumulate > 1 else ""
    return f"global batch size {run.solver.batch_size}: {distributed.world_size()} processes with {shares}{parts}"


def announce(run: Run, state: TrainState, samples: int, found: Found | None) -> None:
    """Says what will be trained, and writes the configuration beside the checkpoints."""
    cfg, log = run.cfg, run.logger
    if distributed.is_main():
        write_text(run.out_dir / "config.yaml", dump(cfg))
    parameters = sum(parameter.numel() for parameter in state.system.parameters())
    log.say(
        f"training {cfg.MODEL.ENCODER} ({parameters / 1e6:.1f} M parameters) at {cfg.DATA.WIDTH}x{cfg.DATA.HEIGHT} on "
        f"{distributed.world_size()} x {run.device.type}; {samples} samples, {run.epochs} epochs of "
        f"{run.sampler.steps_per_epoch} steps; results in {run.out_dir}"
    )
    log.say(f"{describe_batch(run)}; learning rate {cfg.SOLVER.LR:g} ({cfg.SOLVER.SCHEDULE})")
    if cfg.MODEL.SYNC_BN and run.device.type != "cuda" and distributed.world_size() > 1:
        log.say("MODEL.SYNC_BN works on GPUs only: here each process's batch norms see its own samples")
    if found is None:
        return
    log.say(f"resuming from step {state.step} of {run.total_steps}")
    if found.changed:
        log.say(f"changed since the checkpoint, as CHECKPOINT.RESUME_WITH_CHANGES allows: {'; '.join(found.changed)}")
    before = found.content.get("training", {}).get("processes", distributed.world_size())
    if before != distributed.world_size():
        log.say(
            f"{distributed.world_size()} processes instead of {before}: the samples of a step stay the same, the order "
            "of sums does not, so results may differ in the last bits (and batch norms see other shares)"
        )
