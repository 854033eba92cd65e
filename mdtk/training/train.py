"""Training: `train` sets up and loops over epochs, `train_epoch` over steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from timm.layers import convert_sync_batchnorm
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from mdtk.config import data_sets, dump
from mdtk.core import distributed
from mdtk.core.environment import set_float_settings
from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.core.lock import locked
from mdtk.core.weights import load_parts, read_weights
from mdtk.data.batch import Batch
from mdtk.data.loader import build_loader, build_train_data, build_val_loader
from mdtk.data.preparation import build_preparation
from mdtk.data.samples import MixedDataset
from mdtk.datasets.splits import text_sha256
from mdtk.evaluation.eval_config import build_eval_config
from mdtk.losses.objective import build_objective
from mdtk.models.system import DepthSystem, build_model
from mdtk.training.checkpoint import LAST, Found, find_checkpoint, restore, set_aside_unproven
from mdtk.training.epoch import close_epoch, save_last
from mdtk.training.logger import Logger
from mdtk.training.solver import build_average, build_optimizer
from mdtk.training.state import Run, TrainState
from mdtk.training.step import Meter, Reading, set_mode, train_step
from mdtk.training.stop import STOPPED, Stop, listening

NOT_FINITE, UNREADABLE = "not_finite.jsonl", "unreadable.jsonl"


def train(cfg: CfgNode) -> int:
    """Trains the recipe in every process of the run, from OUT_DIR's newest whole checkpoint when there is one.

    Returns 0 when all is done, and `STOPPED` when a signal ended it after a step: the same command goes on.
    """
    set_float_settings(cfg.CUDNN_BENCHMARK, cfg.TF32, cfg.DETERMINISTIC)
    with distributed.process_group(cfg.DEVICE, cfg.TIMEOUT) as device:
        out_dir, stop = Path(cfg.OUT_DIR), Stop()
        with locked(out_dir) if distributed.is_main() else nullcontext(), listening(stop), plain_failures():
            run, state = set_up(cfg, device)
            try:
                return loop(run, state, stop)
            finally:
                run.logger.close()


def loop(run: Run, state: TrainState, stop: Stop) -> int:
    """The epochs that are left."""
    closed = not state.history or state.history[-1]["step"] == state.step
    if state.step and not closed and run.at_epochs_end(state.step):
        run.logger.say("the last epoch was not closed: it is evaluated now")
        close_epoch(run, state)
    elif state.step >= run.total_steps:
        run.logger.say(f"{run.out_dir / LAST} has all {run.total_steps} steps; nothing to train")
    batches = iter(run.loader)
    while state.step < run.total_steps:
        if not train_epoch(run, state, batches, stop):
            run.logger.say(f"stopped after step {state.step} of {run.total_steps}, saved; the same command goes on")
            stop.finish()
            return STOPPED
        close_epoch(run, state)
    stop.finish()
    return 0


@contextmanager
def plain_failures() -> Iterator[None]:
    """What the machine does to a training becomes one sentence: a dead loader worker, a full disk, memory."""
    try:
        yield
    except OSError as error:
        raise MdtkError(f"the system refused a file ({error}); the last checkpoint is whole: run it again") from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise MdtkError(
            f"out of memory ({str(error).splitlines()[0] if str(error) else 'of the machine'}); lower "
            "SOLVER.BATCH_SIZE, or raise SOLVER.ACCUMULATE, and run it again: the last checkpoint is whole"
        ) from error
    except RuntimeError as error:
        if isinstance(error, MdtkError) or "DataLoader worker" not in str(error):
            raise
        raise MdtkError(
            f"{str(error).splitlines()[0]} (out of memory, perhaps: lower DATA.WORKERS); the last checkpoint is whole: "
            "run it again"
        ) from error


def set_up(cfg: CfgNode, device: torch.device) -> tuple[Run, TrainState]:
    """Data, the last checkpoint where there is one, networks, optimizer, logs: what fails fast comes first."""
    torch.manual_seed(cfg.SEED)
    out_dir = Path(cfg.OUT_DIR)
    dataset, sampler = build_train_data(cfg, distributed.rank(), distributed.world_size())
    if sampler.part % cfg.SOLVER.ACCUMULATE:
        raise MdtkError(
            f"SOLVER.ACCUMULATE {cfg.SOLVER.ACCUMULATE} does not divide the {sampler.part} samples of a process"
        )
    val_loader = build_val_loader(cfg, distributed.rank(), distributed.world_size(), device)
    check_protocols(cfg)
    check_first_samples(dataset)
    lists = hash_lists(cfg, dataset, val_loader)
    found = find_checkpoint(out_dir, cfg, lists, say_once) if cfg.CHECKPOINT.RESUME else None
    system = build_networks(cfg, found is not None)
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
    run = Run(
        cfg=cfg,
        device=device,
        out_dir=out_dir,
        wrapped=distributed.wrap(system, device),
        sampler=sampler,
        loader=build_loader(dataset, sampler, cfg.DATA.WORKERS, device),
        val_loader=val_loader,
        prepare=build_preparation(cfg),
        prepare_plain=build_preparation(cfg, augmented=False),
        objective=build_objective(cfg),
        logger=Logger(out_dir, distributed.is_main(), cfg.LOG.TENSORBOARD, state.step),
        total_steps=total,
        lists=lists,
    )
    announce(run, state, len(dataset), found)
    return run, state


def build_networks(cfg: CfgNode, resumed: bool) -> DepthSystem:
    """The networks as the recipe starts them; those of a resumed training need no weights from elsewhere."""
    if resumed:
        bare = cfg.clone()
        bare.defrost()
        bare.MODEL.PRETRAINED = False
        return build_model(bare)
    with distributed.main_first():  # one process downloads, the others read its cache
        system = build_model(cfg)
    if cfg.MODEL.WEIGHTS:
        content = read_weights(cfg.MODEL.WEIGHTS)
        load_parts(system, content["model"], cfg.MODEL.WEIGHTS_PARTS, cfg.MODEL.WEIGHTS)
    return system


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


def check_protocols(cfg: CfgNode) -> None:
    """Reads one image and its ground truth of each: what an epoch's end needs is missed now, not hours later."""
    config = build_eval_config(cfg, baselines=False)
    for name in cfg.EVAL.PROTOCOLS:
        protocol = config.protocol(name)
        reader = config.reader(protocol)
        reader.images(0, [0])
        reader.ground_truth(0, protocol.ground_truth)


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
    log.say(
        f"global batch size {cfg.SOLVER.BATCH_SIZE} = {distributed.world_size()} processes x "
        f"{cfg.SOLVER.ACCUMULATE} parts x {run.sampler.part // cfg.SOLVER.ACCUMULATE}; "
        f"learning rate {cfg.SOLVER.LR:g} ({cfg.SOLVER.SCHEDULE})"
    )
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


def train_epoch(run: Run, state: TrainState, batches: Iterator[Batch], stop: Stop) -> bool:
    """The steps that are left of the current epoch; False when the training was stopped, and saved, before its end."""
    cfg, per_epoch = run.cfg, run.sampler.steps_per_epoch
    epoch, done = divmod(state.step, per_epoch)
    end = min((epoch + 1) * per_epoch, run.total_steps)
    run.logger.start_epoch(f"epoch {epoch + 1}/{run.epochs}", end - epoch * per_epoch, done, cfg.SOLVER.BATCH_SIZE)
    set_mode(state.system, cfg.MODEL.FREEZE_BN)
    meter, problems = Meter(), Problems(run)
    while state.step < end:
        distributed.beat(f"waiting for the samples of step {state.step + 1}")
        batch = next(batches)
        problems.add(batch)
        distributed.beat(f"computing step {state.step + 1}")
        last = state.step + 1 == end
        # One step; only its device tensors are kept, nothing is read.
        losses, refused = train_step(run, state, batch, pictures=last and cfg.LOG.IMAGES > 0)
        meter.add(state.step, losses.scalars, batch.names, refused)
        state.step += 1
        # Now and then the losses are read, which waits for the device, and checked: before every checkpoint too.
        loss = None
        stopping = stop.poll() and not last
        save = bool(cfg.CHECKPOINT.PERIOD) and state.step % cfg.CHECKPOINT.PERIOD == 0 and not last
        if state.step % cfg.LOG.PERIOD == 0 or last or save or stopping:
            loss = read_losses(run, state, meter)
            problems.tell()
        run.logger.advance(cfg.SOLVER.BATCH_SIZE, loss)
        # Weights after which no loss was finite are not written over those before.
        if (save and not state.refused_in_row) or stopping:
            save_last(run, state)
        if stopping:
            run.logger.end_epoch()
            return False
    run.logger.end_epoch()
    state.pictures = losses.pictures
    return True


def read_losses(run: Run, state: TrainState, meter: Meter) -> float | None:
    """Logs the losses since the last reading; the mean total, None when no step counted.

    Raises `MdtkError` when SOLVER.MAX_NOT_FINITE steps in a row changed nothing.
    """
    reading = meter.read()
    for place, bad in enumerate(reading.row):
        state.refused += bad
        state.refused_in_row = state.refused_in_row + 1 if bad else 0
        if not bad:
            state.accepted = reading.first + place + 1
    values = {**reading.means, "lr": state.optimizer.param_groups[0]["lr"]}
    if reading.refused:
        report_refused(run, reading)
        values["refused"] = len(reading.refused)
    run.logger.record("train", state.step, values)
    if state.refused_in_row >= run.cfg.SOLVER.MAX_NOT_FINITE:
        left = set_aside_unproven(run.out_dir, state) if distributed.is_main() else ""
        raise MdtkError(
            f"{state.refused_in_row} steps in a row had no finite loss and gradient; they changed nothing and are "
            f"named in {run.out_dir / NOT_FINITE}; {left}; lower SOLVER.LR, with CHECKPOINT.RESUME_WITH_CHANGES true, "
            "or set SOLVER.CLIP_GRAD, or look at these samples"
        )
    return reading.means.get("total")


def report_refused(run: Run, reading: Reading) -> None:
    """Names the samples of refused steps, of all processes, on the console and in a file."""
    lines = distributed.gather_objects(
        [
            {"step": step + 1, "process": distributed.rank(), "samples": list(names), "losses": describe_losses(losses)}
            for step, names, losses in reading.refused
        ]
    )
    for line in lines:
        run.logger.append(NOT_FINITE, line)
    steps = sorted({line["step"] for line in lines})
    own = [name for line in lines if line["losses"]["total"] not in ("finite",) for name in line["samples"]]
    run.logger.say(
        f"step {', '.join(map(str, steps[:5]))}{' …' if len(steps) > 5 else ''}: loss or gradient not finite, "
        f"nothing was changed; samples {', '.join((own or lines[0]['samples'])[:8])} (all in {NOT_FINITE})"
    )


def describe_losses(losses: dict[str, float]) -> dict[str, str]:
    """Each loss as text, since JSON has no numbers that are not finite."""
    return {name: "finite" if math.isfinite(value) else str(value) for name, value in losses.items()}


class Problems:
    """The samples that could not be read and were replaced: counted, named, and an error above DATA.MAX_UNREADABLE."""

    def __init__(self, run: Run) -> None:
        self.run, self.fresh = run, list[str]()
        self.limit = run.cfg.DATA.MAX_UNREADABLE

    def add(self, batch: Batch) -> None:
        """Counts those of a batch."""
        self.fresh += batch.problems
        self.run.unreadable.extend(batch.problems)
        if len(self.run.unreadable) > self.limit > 0:
            raise MdtkError(
                f"{len(self.run.unreadable)} samples could not be read, more than DATA.MAX_UNREADABLE {self.limit}; "
                f"the last: {self.run.unreadable[-1]}"
            )

    def tell(self) -> None:
        """Names the new ones of all processes."""
        if self.limit:
            for problem in distributed.gather_objects(self.fresh):
                self.run.logger.say(f"replaced by the next sample: {problem}")
                self.run.logger.append(UNREADABLE, {"sample": problem})
            self.fresh = []
