"""What closes an epoch: validation, evaluation, log lines, pictures, checkpoints."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Mapping

import torch

from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.data.batch import Batch
from mdtk.evaluation.benchmark import evaluate_protocols
from mdtk.evaluation.predictors import build_model_predictor
from mdtk.evaluation.scoring.evaluator import MODEL
from mdtk.evaluation.scoring.metrics import METRICS
from mdtk.models.loaded import full_disparity
from mdtk.training.checkpoint import BEST, save_checkpoint, save_weights
from mdtk.training.state import Run, TrainState
from mdtk.training.step import forward
from mdtk.training.step_pictures import render


def close_epoch(run: Run, state: TrainState) -> None:
    """Validates and evaluates the networks, logs, and saves. Every process takes part."""
    protocols = run.evaluation.protocols
    epoch = -(-state.step // run.sampler.steps_per_epoch)
    distributed.broadcast_buffers(state.system)
    distributed.broadcast_buffers(state.evaluated)
    # The epoch's work is safe before anything that may fail: a run that ends here closes the epoch when it goes on.
    save_last(run, state)
    record: dict[str, float] = {"epoch": epoch, "step": state.step}
    if run.val_loader is not None:
        record |= validate(run, state, run.val_loader)
    failure = None
    if protocols and (epoch % run.evaluation.period == 0 or state.step >= run.total_steps):
        distributed.beat("")  # an evaluation lasts as long as it does
        try:
            record |= evaluate(run, state)
        except MdtkError as error:  # every process gets here; the epoch's work is saved first
            failure = error
    improved = is_better(record.get("val_loss"), state.best)
    if improved:
        state.best, state.best_step = record["val_loss"], state.step
    state.history.append(record)
    before = state.history[-2] if len(state.history) > 1 else {}
    if distributed.is_main():
        run.logger.say(describe(record, run.epochs, improved, before, state.baselines))
        run.logger.record("epoch", state.step, {name: value for name, value in record.items() if name != "step"})
        if state.pictures:
            run.logger.pictures(state.step, render(state.pictures, run.log.images))
        if improved:
            save_weights(run.out_dir / BEST, run.cfg, state, epoch)
        if run.checkpoints.keep_epochs:
            save_weights(run.out_dir / f"weights_{epoch:03d}.pth", run.cfg, state, epoch)
        # Last of all, with the epoch's record: a run that is killed before this line closes the epoch again.
        save_checkpoint(run.out_dir, run.cfg, state, run.lists)
    distributed.barrier()
    if failure is not None:
        raise MdtkError(f"{failure} (the epoch is saved; correct this, or set EVAL.PROTOCOLS [])") from failure


def is_better(loss: float | None, best: float | None) -> bool:
    """Whether a validation loss is the lowest so far; one that is not finite never is, and is beaten by any other."""
    if loss is None or not math.isfinite(loss):
        return False
    return best is None or not math.isfinite(best) or loss < best


def save_last(run: Run, state: TrainState) -> None:
    """Writes last.pth, in one process."""
    if distributed.is_main():
        save_checkpoint(run.out_dir, run.cfg, state, run.lists)
    state.saved = state.step


@torch.no_grad()
def validate(run: Run, state: TrainState, batches: Iterable[Batch]) -> dict[str, float]:
    """Means over the validation samples, without augmentation or ties: the training loss, and the photometric errors
    of warped and unwarped sources that it is to be judged by."""
    system = state.evaluated.eval()
    objective = run.objective.with_photometric(tie_noise=0.0, report_identity=True)
    names = ["total", "full/warped", "full/identity"]
    sums = torch.zeros(len(names) + 1, dtype=torch.float64, device=run.device)
    for batch in batches:
        distributed.beat("validating")
        scalars = forward(system, batch.to(run.device), run.prepare_plain, objective).scalars
        means = torch.stack([scalars[name].double() for name in names])
        sums += torch.cat([means, means.new_ones(1)]) * len(batch)
    *values, count = distributed.all_sum(sums).tolist()
    labels = ("val_loss", "val_warped", "val_identity")
    return {label: value / count for label, value in zip(labels, values, strict=True)}


def evaluate(run: Run, state: TrainState) -> dict[str, float]:
    """The configured protocols, sharded over the processes: "protocol/metric" → mean."""
    system = state.evaluated.eval()

    def disparity(images: torch.Tensor, dataset: str) -> torch.Tensor:
        with torch.inference_mode():
            return full_disparity(system, images, run.cfg, dataset)

    predictor = build_model_predictor(run.cfg, disparity, run.device, system.input_offsets)
    known = state.baselines is not None  # the baseline predictors do not change
    config = dataclasses.replace(run.eval_config, baselines=None) if known else run.eval_config
    means: dict[str, dict[str, float]] = {}
    for evaluation in evaluate_protocols(config, predictor, run.evaluation.protocols):
        own = {f"{evaluation.protocol.key}/{name}": value for name, value in evaluation.means.items()}
        means.setdefault(evaluation.predictor, {}).update(own)
    record = means.pop(MODEL)
    state.baselines = state.baselines if known else means
    return record


def describe(
    record: dict, epochs: int, improved: bool, before: dict, baselines: Mapping[str, Mapping[str, float]] | None = None
) -> str:
    """The epoch's line on the console; `before` is the record of the last epoch, empty for the first."""
    parts = [f"epoch {record['epoch']}/{epochs}", f"step {record['step']}"]
    if "val_loss" in record:
        best = " (best)" if improved else ""
        parts.append(f"val loss {record['val_loss']:.4f}{compared('val_loss', record, before)}{best}")
        warped, identity = record["val_warped"], record["val_identity"]
        parts.append(
            f"photometric {warped:.4f} ({'better' if warped < identity else 'worse'} than unwarped {identity:.4f})"
        )
    for name, value in record.items():
        if name.endswith(("/abs_rel", "/rmse", "/a1")):
            parts.append(f"{name.replace('/', ' ')} {value:.4f}{compared(name, record, before)}")
            parts[-1] += beside_baselines(name, value, baselines or {})
    return ", ".join(parts) + time.strftime("  [%H:%M:%S]")


def compared(name: str, record: dict, before: dict) -> str:
    """As " (better than 0.1234)" or worse, against the last record that has the number; a1 … a3 are to be high."""
    if name not in before or before[name] == record[name]:
        return ""
    better = (record[name] > before[name]) == higher_is_better(name)
    return f" ({'better' if better else 'worse'} than {before[name]:.4f})"


def higher_is_better(name: str) -> bool:
    """Whether a number of an epoch's record is better when it is higher: "protocol/a1" is, a loss is not."""
    known = METRICS.get(name.rpartition("/")[2])
    return known is not None and known.higher_is_better


def beside_baselines(name: str, value: float, baselines: Mapping[str, Mapping[str, float]]) -> str:
    """As " [better than median map 0.2734]": against the better one of the baseline predictors that have the number."""
    values = {label: one[name] for label, one in baselines.items() if name in one}
    if not values:
        return ""
    label = (max if higher_is_better(name) else min)(values, key=lambda one: values[one])
    better = (value > values[label]) == higher_is_better(name)
    return f" [{'better' if better else 'worse'} than {label} {values[label]:.4f}]"
