"""What closes an epoch: validation, evaluation, log lines, pictures, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch

from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.data.batch import Batch
from mdtk.evaluation.benchmark import evaluate_protocols
from mdtk.evaluation.eval_config import build_eval_config
from mdtk.evaluation.predictors import build_model_predictor
from mdtk.models.loaded import full_disparity
from mdtk.training.checkpoint import BEST, LAST, save_checkpoint, save_weights
from mdtk.training.state import Run, TrainState
from mdtk.training.step import forward
from mdtk.training.step_pictures import render


def close_epoch(run: Run, state: TrainState) -> None:
    """Validates and evaluates the networks, logs, and saves. Every process takes part."""
    cfg = run.cfg
    epoch = -(-state.step // run.sampler.steps_per_epoch)
    distributed.broadcast_buffers(state.system)
    distributed.broadcast_buffers(state.evaluated)
    record: dict[str, float] = {"epoch": epoch, "step": state.step}
    if run.val_loader is not None:
        record |= validate(run, state, run.val_loader)
    failure = None
    if cfg.EVAL.PROTOCOLS and (epoch % cfg.EVAL.PERIOD == 0 or state.step >= run.total_steps):
        try:
            record |= evaluate(run, state)
        except MdtkError as error:  # every process gets here; the epoch's work is saved first
            failure = error
    improved = "val_loss" in record and (state.best is None or record["val_loss"] < state.best)
    if improved:
        state.best, state.best_step = record["val_loss"], state.step
    state.history.append(record)
    if distributed.is_main():
        run.logger.say(describe(record, run.epochs, improved))
        run.logger.record("epoch", state.step, {name: value for name, value in record.items() if name != "step"})
        if state.pictures:
            run.logger.pictures(state.step, render(state.pictures, cfg.LOG.IMAGES))
        if improved:
            save_weights(run.out_dir / BEST, cfg, state, epoch)
        if cfg.CHECKPOINT.KEEP_EPOCHS:
            save_weights(run.out_dir / f"weights_{epoch:03d}.pth", cfg, state, epoch)
        # Last of all: a run that is killed before this line resumes before this epoch's end, and repeats it.
        save_checkpoint(run.out_dir / LAST, cfg, state)
    distributed.barrier()
    if failure is not None:
        raise MdtkError(f"{failure} (the epoch is saved; correct this, or set EVAL.PROTOCOLS [])") from failure


@torch.no_grad()
def validate(run: Run, state: TrainState, batches: Iterable[Batch]) -> dict[str, float]:
    """Means over the validation samples, without augmentation or ties: the training loss, and the photometric errors
    of warped and unwarped sources that it is to be judged by."""
    system = state.evaluated.eval()
    objective = run.objective.with_photometric(tie_noise=0.0, report_identity=True)
    names = ["total", "full/warped", "full/identity"]
    sums = torch.zeros(len(names) + 1, dtype=torch.float64, device=run.device)
    for batch in batches:
        scalars = forward(system, batch.to(run.device), run.prepare_plain, objective).scalars
        means = torch.stack([scalars[name].double() for name in names])
        sums += torch.cat([means, means.new_ones(1)]) * len(batch)
    *values, count = distributed.all_sum(sums).tolist()
    labels = ("val_loss", "val_warped", "val_identity")
    return {label: value / count for label, value in zip(labels, values, strict=True)}


def evaluate(run: Run, state: TrainState) -> dict[str, float]:
    """The configured protocols, sharded over the processes: "protocol/metric" → mean."""
    cfg = run.cfg
    system = state.evaluated.eval()

    def disparity(images: torch.Tensor, dataset: str) -> torch.Tensor:
        with torch.inference_mode():
            return full_disparity(system, images, cfg, dataset)

    config = build_eval_config(cfg, baselines=False)
    predictor = build_model_predictor(cfg, disparity, run.device, system.input_offsets)
    return {
        f"{evaluation.protocol.key}/{name}": value
        for evaluation in evaluate_protocols(config, predictor, cfg.EVAL.PROTOCOLS)
        for name, value in evaluation.means.items()
    }


def describe(record: dict, epochs: int, improved: bool) -> str:
    """The epoch's line on the console."""
    parts = [f"epoch {record['epoch']}/{epochs}", f"step {record['step']}"]
    if "val_loss" in record:
        parts.append(f"val loss {record['val_loss']:.4f}{' (best)' if improved else ''}")
        parts.append(f"photometric {record['val_warped']:.4f} (unwarped {record['val_identity']:.4f})")
    for name, value in record.items():
        if name.endswith(("/abs_rel", "/rmse", "/a1")):
            parts.append(f"{name.replace('/', ' ')} {value:.4f}")
    return ", ".join(parts) + time.strftime("  [%H:%M:%S]")
