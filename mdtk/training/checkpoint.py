"""Checkpoints: atomic, verified, the one before kept, and resumed exactly."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from mdtk.config import config_from_text, differences, dump
from mdtk.core import distributed
from mdtk.core.environment import float_settings, versions
from mdtk.core.errors import MdtkError
from mdtk.core.weights import load_parts, read_weights, write_weights
from mdtk.datasets.prepare.contamination import train_lists
from mdtk.training.state import TrainState

LAST, PREV, BEST, SET_ASIDE = "last.pth", "prev.pth", "best.pth", "not_finite.pth"
Lists = dict[str, str]  # the sha256 of each split list, by "train 0 NAME"


def save_checkpoint(out_dir: Path, cfg: CfgNode, state: TrainState, lists: Lists) -> None:
    """Writes last.pth with all of the state; the one before becomes prev.pth.

    `model` holds the networks to evaluate, `training` what a resumption needs beside them. There is no generator state
    to keep: every draw is seeded by (SEED, step or epoch, index, rank), so the position says them all.
    A last.pth whose weights no step has been accepted from is not proven: it is written over, and prev.pth stays.
    """
    training: dict[str, Any] = {
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
        "seed": cfg.SEED,
        "best": state.best,
        "best_step": state.best_step,
        "history": state.history,
        "refused": state.refused,
        "lists": lists,
        "processes": distributed.world_size(),
    }
    if state.average is not None:
        training["raw_model"] = state.system.state_dict()
        training["averaged"] = state.average.count
    content = {"model": state.evaluated.state_dict(), "cfg": dump(cfg), "training": training, "meta": _meta(cfg)}
    last, fresh = out_dir / LAST, out_dir / f".fresh.{os.getpid()}.tmp.pth"
    try:
        _write(fresh, content)
        if state.accepted > state.saved and last.is_file():
            os.replace(last, out_dir / PREV)  # killed here, the next run finds prev.pth
        os.replace(fresh, last)
    except OSError as error:
        raise _unwritable(last, error) from error
    finally:
        fresh.unlink(missing_ok=True)
    state.saved = state.step


def save_weights(path: Path, cfg: CfgNode, state: TrainState, epoch: int) -> None:
    """Only what prediction needs."""
    meta = {**_meta(cfg), "epoch": epoch, "step": state.step}
    _write(path, {"model": state.evaluated.state_dict(), "cfg": dump(cfg), "meta": meta})


def _meta(cfg: CfgNode) -> dict[str, Any]:
    """Versions, and the training lists, so that an evaluation can say what of its test frames they hold."""
    return {**versions(), **float_settings(), "train_lists": [one.pack() for one in train_lists(cfg)]}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    try:
        write_weights(path, content)
    except (OSError, RuntimeError) as error:  # torch tells a full disk by a RuntimeError
        raise _unwritable(path.with_name(LAST) if ".tmp." in path.name else path, error) from error


def _unwritable(path: Path, error: Exception) -> MdtkError:
    reason = error.strerror if isinstance(error, OSError) else "no space, or the file system failed"
    kept = "the checkpoint before is whole" if path.is_file() else "none was written before"
    return MdtkError(
        f"{path} cannot be written ({reason}); {kept}: free or repair {path.parent}, then run the same command again"
    )


@dataclass
class Found:
    """A whole checkpoint to resume from. `changed`: what the user said may differ, and does."""

    path: Path
    content: dict[str, Any]
    changed: list[str]


def find_checkpoint(out_dir: Path, cfg: CfgNode, lists: Lists, say: Any) -> Found | None:
    """The newest whole one of last, prev, best in `out_dir`; None where there is none. `say` tells of damaged ones.

    Raises `MdtkError` when all are damaged, and for a checkpoint of another configuration, with what differs.
    """
    paths = [path for name in (LAST, PREV, BEST) if (path := out_dir / name).is_file()]
    if not (out_dir / LAST).is_file():
        paths = [path for path in paths if path.name == PREV]  # best alone was put there, it is no training
    problems = []
    for path in paths:
        try:
            content = read_weights(path)
        except MdtkError as error:
            problems.append(str(error))
            continue
        if "training" not in content and path.name != BEST:
            raise MdtkError(f"{path} holds weights only; it cannot be resumed (use MODEL.WEIGHTS to start from it)")
        if problems or path.name != LAST:
            rest = "" if path.name != BEST else "; it has no state of the optimiser, which starts afresh"
            say(f"{'; '.join(problems) or f'{LAST} is missing'}: going on from {path}{rest}")
        return Found(path, content, _changes(path, content, cfg, lists))
    if problems:
        raise MdtkError(
            f"no checkpoint of {out_dir} is whole ({'; '.join(problems)}); restore one, or set CHECKPOINT.RESUME false"
        )
    return None


def _changes(path: Path, content: dict[str, Any], cfg: CfgNode, lists: Lists) -> list[str]:
    """What differs from the checkpoint and changes results; an error unless the user allows it."""
    old = config_from_text(content["cfg"], str(path))
    changed = differences(old, cfg)
    if cfg.SOLVER.SCHEDULE == "step" and cfg.SOLVER.EPOCHS > old.SOLVER.EPOCHS:  # the steps before are the same
        changed = [line for line in changed if not line.startswith("SOLVER.EPOCHS:")]
    before = content.get("training", {}).get("lists", {})
    changed += [f"the list {name} has other entries" for name in lists if before.get(name, lists[name]) != lists[name]]
    if changed and not cfg.CHECKPOINT.RESUME_WITH_CHANGES:
        raise MdtkError(
            f"{path} was written with another configuration ({'; '.join(changed)}); give the same keys, or "
            "CHECKPOINT.RESUME_WITH_CHANGES true, or another OUT_DIR, or CHECKPOINT.RESUME false"
        )
    return changed


def restore(found: Found, state: TrainState, say: Any) -> None:
    """Puts a checkpoint's content into `state`; a state of the optimiser that does not fit is left out, and said."""
    content, training = found.content, found.content.get("training")
    if training is None:
        training = {"optimizer": None, "step": content["meta"]["step"], "best": None, "best_step": None, "history": []}
    load_parts(state.system, training.get("raw_model", content["model"]), [], str(found.path))
    if state.average is not None:
        load_parts(state.average.module, content["model"], [], str(found.path))
        state.average.count = training.get("averaged", 1)
    other_kind = any(line.startswith("SOLVER.OPTIMIZER:") for line in found.changed)
    if training["optimizer"] is not None and not other_kind:
        _load_optimizer(state.optimizer, training["optimizer"], found.path)
    elif other_kind:
        say("another SOLVER.OPTIMIZER than the checkpoint's: its state starts afresh")
    state.step, state.history = training["step"], training["history"]
    state.best, state.best_step = training["best"], training["best_step"]
    state.refused = training.get("refused", 0)
    state.accepted = state.saved = state.step


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any], path: Path) -> None:
    """The saved moments with the options of the present configuration, which may have been changed on purpose."""
    options = [{k: v for k, v in group.items() if k not in ("params", "lr")} for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(saved)
    except ValueError as error:
        raise MdtkError(f"{path}: the optimiser's state does not fit the networks ({error})") from error
    for group, own in zip(optimizer.param_groups, options, strict=True):
        group.update(own)


def set_aside_unproven(out_dir: Path, state: TrainState) -> str:
    """Renames last.pth when no step after it was accepted; says what the next run will start from."""
    last, prev = out_dir / LAST, out_dir / PREV
    if last.is_file() and state.saved >= state.accepted:
        os.replace(last, out_dir / SET_ASIDE)
        rest = f"the same command goes on from {prev}" if prev.is_file() else "the same command starts afresh"
        return f"{last}, from which no step succeeded, was renamed {SET_ASIDE}; {rest}"
    if last.is_file():
        return f"{last} is from step {state.saved}, before these"
    return "no checkpoint was written yet"
