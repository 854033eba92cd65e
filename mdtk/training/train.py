"""Training: `train` sets up and loops over epochs, `train_epoch` over steps."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from timm.layers import convert_sync_batchnorm
from yacs.config import CfgNode

from mdtk.config import dump
from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.core.weights import load_parts, read_weights
from mdtk.data.batch import Batch
from mdtk.data.loader import build_loader, build_train_data, build_val_loader
from mdtk.data.preparation import build_preparation
from mdtk.evaluation.eval_config import build_eval_config
from mdtk.losses.objective import build_objective
from mdtk.models.system import build_model
from mdtk.training.checkpoint import LAST, resume, save_checkpoint
from mdtk.training.epoch import close_epoch
from mdtk.training.logger import Logger
from mdtk.training.solver import build_average, build_optimizer
from mdtk.training.state import Run, TrainState
from mdtk.training.step import Meter, set_mode, train_step


def train(cfg: CfgNode) -> None:
    """Trains the recipe in every process that torchrun started, from OUT_DIR's last checkpoint when there is one."""
    with distributed.process_group(cfg.DEVICE) as device:
        run, state = set_up(cfg, device)
        try:
            if state.step >= run.total_steps:
                run.logger.say(f"{run.out_dir / LAST} has all {run.total_steps} steps; nothing to train")
                return
            batches = iter(run.loader)
            while state.step < run.total_steps:
                train_epoch(run, state, batches)
                close_epoch(run, state)
        finally:
            run.logger.close()


def set_up(cfg: CfgNode, device: torch.device) -> tuple[Run, TrainState]:
    """Networks, data, optimizer, logs; the state of the last checkpoint where there is one."""
    torch.manual_seed(cfg.SEED)
    out_dir = Path(cfg.OUT_DIR)
    check_protocols(cfg)
    with distributed.main_first():  # one process downloads, the others read its cache
        system = build_model(cfg)
    if cfg.MODEL.WEIGHTS:
        content = read_weights(cfg.MODEL.WEIGHTS)
        load_parts(system, content["model"], cfg.MODEL.WEIGHTS_PARTS, cfg.MODEL.WEIGHTS)
    if cfg.MODEL.SYNC_BN and device.type == "cuda":  # CPUs have no such layer; `announce` says so
        system = convert_sync_batchnorm(system)  # timm's: it keeps the activations that timm fuses with norms
    system.to(device)
    state = TrainState(system, build_optimizer(cfg, system), build_average(cfg, system))
    last = out_dir / LAST
    if cfg.CHECKPOINT.RESUME and last.is_file():
        resume(last, cfg, state)
    if len(set(distributed.gather_objects([state.step]))) > 1:
        raise MdtkError(f"not every process finds the same {last}; OUT_DIR must be one folder that all machines share")
    dataset, sampler = build_train_data(cfg, distributed.rank(), distributed.world_size())
    if sampler.part % cfg.SOLVER.ACCUMULATE:
        raise MdtkError(
            f"SOLVER.ACCUMULATE {cfg.SOLVER.ACCUMULATE} does not divide the {sampler.part} samples of a process"
        )
    total = cfg.SOLVER.EPOCHS * sampler.steps_per_epoch
    total = min(total, cfg.SOLVER.MAX_STEPS or total)
    sampler.start_step, sampler.stop_step = state.step, total
    logger = Logger(out_dir, distributed.is_main(), cfg.LOG.TENSORBOARD, state.step, cfg.LOG.CSV)
    run = Run(
        cfg=cfg,
        device=device,
        out_dir=out_dir,
        wrapped=distributed.wrap(system, device),
        sampler=sampler,
        loader=build_loader(dataset, sampler, cfg.DATA.WORKERS, device),
        val_loader=build_val_loader(cfg, distributed.rank(), distributed.world_size(), device),
        prepare=build_preparation(cfg),
        prepare_plain=build_preparation(cfg, augmented=False),
        objective=build_objective(cfg),
        logger=logger,
        total_steps=total,
    )
    announce(run, state, len(dataset))
    return run, state


def check_protocols(cfg: CfgNode) -> None:
    """Reads one image and its ground truth of each: what an epoch's end needs is missed now, not hours later."""
    config = build_eval_config(cfg, baselines=False)
    for name in cfg.EVAL.PROTOCOLS:
        protocol = config.protocol(name)
        reader = config.reader(protocol)
        reader.images(0, [0])
        reader.ground_truth(0, protocol.ground_truth)


def announce(run: Run, state: TrainState, samples: int) -> None:
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
    log.say(
        f"global batch size {cfg.SOLVER.BATCH_SIZE} = {distributed.world_size()} processes x "
        f"{cfg.SOLVER.ACCUMULATE} parts x {run.sampler.part // cfg.SOLVER.ACCUMULATE}; "
        f"learning rate {cfg.SOLVER.LR:g} ({cfg.SOLVER.SCHEDULE})"
    )
    if cfg.MODEL.SYNC_BN and run.device.type != "cuda" and distributed.world_size() > 1:
        log.say("MODEL.SYNC_BN works on GPUs only: here each process's batch norms see its own samples")
    if state.step:
        log.say(f"resuming from step {state.step} of {run.total_steps}")


def peak_memory(device: torch.device) -> int:
    """The most memory, in bytes, that this process has held so far: on its GPU, else in all."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def train_epoch(run: Run, state: TrainState, batches: Iterator[Batch]) -> None:
    """The steps that are left of the current epoch."""
    cfg, per_epoch = run.cfg, run.sampler.steps_per_epoch
    epoch, done = divmod(state.step, per_epoch)
    end = min((epoch + 1) * per_epoch, run.total_steps)
    run.logger.start_epoch(f"epoch {epoch + 1}/{run.epochs}", end - epoch * per_epoch, done, cfg.SOLVER.BATCH_SIZE)
    set_mode(state.system, cfg.MODEL.FREEZE_BN)
    meter = Meter()
    while state.step < end:
        batch = next(batches)
        last = state.step + 1 == end
        # One step; only its device tensors are kept, nothing is read.
        losses = train_step(run, state, batch, pictures=last and cfg.LOG.IMAGES > 0)
        meter.add(state.step, losses.scalars, batch.names)
        state.step += 1
        # Now and then the losses are read, which waits for the device, and checked: before every checkpoint too.
        loss = None
        save = bool(cfg.CHECKPOINT.PERIOD) and state.step % cfg.CHECKPOINT.PERIOD == 0 and not last
        if state.step % cfg.LOG.PERIOD == 0 or last or save:
            means = meter.read()
            loss = means["total"]
            values = {**means, "lr": state.optimizer.param_groups[0]["lr"]}
            run.logger.record("train", state.step, values)
            if state.step % cfg.LOG.PERIOD == 0 or last:
                memory = peak_memory(run.device)
                run.logger.progress(state.step, run.total_steps, cfg.SOLVER.BATCH_SIZE, values, memory)
        run.logger.advance(cfg.SOLVER.BATCH_SIZE, loss)
        if save and distributed.is_main():
            save_checkpoint(run.out_dir / LAST, cfg, state)
    run.logger.end_epoch()
    state.pictures = losses.pictures
