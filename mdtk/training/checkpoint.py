"""Checkpoints: atomic, whole, and resumed exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from mdtk.config import config_from_text, differences, dump
from mdtk.core.environment import versions
from mdtk.core.errors import MdtkError
from mdtk.core.weights import read_weights, write_weights
from mdtk.datasets.prepare.contamination import train_lists
from mdtk.training.state import TrainState

LAST, BEST = "last.pth", "best.pth"


def save_checkpoint(path: Path, cfg: CfgNode, state: TrainState) -> None:
    """All of the state. `model` holds the networks to evaluate, `training` what a resumption needs beside them.

    There is no generator state to keep: every draw is seeded by (SEED, step or epoch, index, rank), so the
    position says them all.
    """
    training = {
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
        "seed": cfg.SEED,
        "best": state.best,
        "best_step": state.best_step,
        "history": state.history,
    }
    if state.average is not None:
        training["raw_model"] = state.system.state_dict()
        training["averaged"] = state.average.count
    content = {"model": state.evaluated.state_dict(), "cfg": dump(cfg), "training": training, "meta": _meta(cfg)}
    write_weights(path, content)


def save_weights(path: Path, cfg: CfgNode, state: TrainState, epoch: int) -> None:
    """Only what prediction needs."""
    meta = {**_meta(cfg), "epoch": epoch, "step": state.step}
    write_weights(path, {"model": state.evaluated.state_dict(), "cfg": dump(cfg), "meta": meta})


def _meta(cfg: CfgNode) -> dict[str, Any]:
    """Versions, and the training lists, so that an evaluation can say what of its test frames they hold."""
    return {**versions(), "train_lists": [one.pack() for one in train_lists(cfg)]}


def resume(path: Path, cfg: CfgNode, state: TrainState) -> None:
    """Restores `state` from a checkpoint of the same configuration; any other is refused with the keys that differ."""
    content = read_weights(path)
    if "training" not in content:
        raise MdtkError(f"{path} holds weights only; it cannot be resumed (use MODEL.WEIGHTS to start from it)")
    changed = differences(config_from_text(content["cfg"], str(path)), cfg)
    if changed:
        raise MdtkError(
            f"{path} was written with another configuration ({'; '.join(changed)}); "
            "give the same keys, or another OUT_DIR, or CHECKPOINT.RESUME false"
        )
    training = content["training"]
    state.system.load_state_dict(training.get("raw_model", content["model"]))
    state.optimizer.load_state_dict(training["optimizer"])
    if state.average is not None:
        state.average.module.load_state_dict(content["model"])
        state.average.count = training["averaged"]
    state.step, state.history = training["step"], training["history"]
    state.best, state.best_step = training["best"], training["best_step"]
