"""Training: `train` sets up and loops over epochs, `train_epoch` over steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from yacs.config import CfgNode

from mdtk.config.machine import apply_float_settings
from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.core.lock import locked
from mdtk.data.batch import Batch
from mdtk.training.checkpoint import LAST
from mdtk.training.epoch import close_epoch, save_last
from mdtk.training.losses_read import Problems, read_losses
from mdtk.training.prepare import set_up
from mdtk.training.state import Run, TrainState
from mdtk.training.step import Meter, set_mode, train_step
from mdtk.training.stop import STOPPED, Stop, listening


def train(cfg: CfgNode, weights_file: Callable[[str], Path] = Path) -> int:
    """Trains the recipe in every process of the run, from OUT_DIR's newest whole checkpoint when there is one.

    `weights_file` finds the native checkpoint that MODEL.WEIGHTS means, once the data has been looked at.
    Returns 0 when all is done, and `STOPPED` when a signal ended it after a step: the same command goes on.
    """
    apply_float_settings(cfg)
    with distributed.process_group(cfg.DEVICE, cfg.TIMEOUT) as device:
        out_dir, stop = Path(cfg.OUT_DIR), Stop()
        with locked(out_dir) if distributed.is_main() else nullcontext(), listening(stop), plain_failures():
            run, state = set_up(cfg, device, weights_file)
            try:
                return loop(run, state, stop)
            finally:
                run.logger.close()


def loop(run: Run, state: TrainState, stop: Stop) -> int:
    """The epochs that are left."""
    closed = bool(state.history) and state.history[-1]["step"] == state.step
    if state.step and not closed and run.at_epochs_end(state.step):
        run.logger.say("the last epoch was not closed: it is evaluated now")
        close_epoch(run, state)
    elif state.step >= run.total_steps:
        run.logger.say(f"{run.out_dir / LAST} has all {run.total_steps} steps; nothing to train")
    batches = iter(run.loader)
    first = state.step
    while state.step < run.total_steps:
        if not train_epoch(run, state, batches, stop):
            run.logger.say(f"stopped after step {state.step} of {run.total_steps}, saved; the same command goes on")
            stop.finish()
            return STOPPED
        close_epoch(run, state)
    stop.finish()
    # A short training may end before SOLVER.MAX_NOT_FINITE such steps; it did not succeed for that.
    if state.refused_in_row >= min(run.solver.max_not_finite, max(1, state.step - first - 1)):
        raise MdtkError(
            f"the last {state.refused_in_row} of {state.step} steps had no finite loss and gradient, and changed "
            "nothing; lower SOLVER.LR or set SOLVER.CLIP_GRAD, and give another OUT_DIR"
        )
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


def train_epoch(run: Run, state: TrainState, batches: Iterator[Batch], stop: Stop) -> bool:
    """The steps that are left of the current epoch; False when the training was stopped, and saved, and not closed."""
    per_epoch, batch_size = run.sampler.steps_per_epoch, run.solver.batch_size
    epoch, done = divmod(state.step, per_epoch)
    end = min((epoch + 1) * per_epoch, run.total_steps)
    run.logger.start_epoch(f"epoch {epoch + 1}/{run.epochs}", end - epoch * per_epoch, done, batch_size)
    set_mode(state.system, run.model.freeze_bn)
    meter, problems = Meter(run.sampler.parts_like(len(run.sampler.own))), Problems(run)
    while state.step < end:
        distributed.beat(f"waiting for the samples of step {state.step + 1}")
        batch = next(batches)
        problems.add(batch)
        distributed.beat(f"computing step {state.step + 1}")
        last = state.step + 1 == end
        # One step; only its device tensors are kept, nothing is read.
        losses, refused = train_step(run, state, batch, pictures=last and run.log.images > 0)
        meter.add(state.step, losses.scalars, batch.names, refused)
        state.step += 1
        # Now and then the losses are read, which waits for the device, and checked: before every checkpoint too.
        loss = None
        stopping = stop.poll()
        save = bool(run.checkpoints.period) and state.step % run.checkpoints.period == 0 and not last
        if state.step % run.log.period == 0 or last or save or stopping:
            loss = read_losses(run, state, meter)
            problems.tell()
        run.logger.advance(batch_size, loss)
        # Weights after which no loss was finite are not written over those before.
        if (save and not state.refused_in_row) or stopping:
            save_last(run, state)
        if stopping:
            run.logger.end_epoch()
            return False
    run.logger.end_epoch()
    state.pictures = losses.pictures
    return True
