"""A step without a finite loss changes nothing, and a run that has only such steps says the truth and can go on."""

from __future__ import annotations

import json
import math
import os
import signal

import pytest
import torch

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.models.system import build_model
from mdtk.training import step as step_module
from mdtk.training import train as train_module
from mdtk.training.epoch import is_better
from mdtk.training.prepare import set_up
from mdtk.training.step import train_step
from tests.helpers.training import checkpoint, differing, records, train_here, weights


def bits(state) -> dict[str, torch.Tensor]:
    """Everything that a step changes, copied."""
    kept = {f"model {name}": tensor for name, tensor in state.system.state_dict().items()}
    if state.average is not None:
        kept |= {f"average {name}": tensor for name, tensor in state.average.module.state_dict().items()}
    for index, moments in state.optimizer.state_dict()["state"].items():
        kept |= {f"{name} {index}": tensor for name, tensor in moments.items() if tensor is not None}
    return {name: tensor.clone() for name, tensor in kept.items()}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_step_that_is_not_finite_changes_nothing(tiny_recipe, tmp_path, monkeypatch, optimizer):
    keys = ["OUT_DIR", str(tmp_path), "SOLVER.OPTIMIZER", optimizer, "SOLVER.EMA", "0.9", "SOLVER.CLIP_GRAD", "1.0"]
    run, state = set_up(load_config(tiny_recipe, keys), torch.device("cpu"))
    state.system.train()
    batch = next(iter(run.loader))
    assert train_step(run, state, batch)[1] == 0
    before = bits(state)
    sound = step_module.forward

    def spoilt(*args, **kwargs):
        losses = sound(*args, **kwargs)
        losses.total = losses.total * math.nan
        return losses

    monkeypatch.setattr(step_module, "forward", spoilt)
    assert train_step(run, state, batch)[1] == 1
    after = bits(state)
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    monkeypatch.setattr(step_module, "forward", sound)
    assert train_step(run, state, batch)[1] == 0
    moved = bits(state)
    assert [name for name in before if "weight" in name and not torch.equal(before[name], moved[name])]


def test_sgd_whose_first_step_is_refused(tiny_recipe, tmp_path):
    """torch leaves the momentum of a first step that is refused undefined."""
    _, state = set_up(
        load_config(tiny_recipe, ["OUT_DIR", str(tmp_path), "SOLVER.OPTIMIZER", "sgd"]), torch.device("cpu")
    )
    momenta = [moments["momentum_buffer"] for moments in state.optimizer.state.values()]
    assert momenta
    assert not any(momentum.any() for momentum in momenta)


def test_a_huge_rate_stops_and_a_lower_one_goes_on(tiny_recipe, tmp_path):
    keys = ["SOLVER.MAX_NOT_FINITE", 3, "CHECKPOINT.PERIOD", 1, "SOLVER.MAX_STEPS", 6, "DATA.VAL_SPLIT", ""]
    with pytest.raises(MdtkError, match=r"3 steps in a row .* renamed not_finite.pth"):
        train_here(tmp_path, tiny_recipe, [*keys, "SOLVER.LR", 1e5])
    named = [json.loads(line) for line in (tmp_path / "not_finite.jsonl").read_text().splitlines()]
    assert len(named) >= 3
    assert all(line["samples"] for line in named)
    assert not (tmp_path / "last.pth").exists(), "weights that no step succeeded from are set aside"
    assert (tmp_path / "not_finite.pth").is_file()
    train_here(tmp_path, tiny_recipe, [*keys, "CHECKPOINT.RESUME_WITH_CHANGES", True])
    content = checkpoint(tmp_path)
    assert all(tensor.isfinite().all() for tensor in content["model"].values())
    assert content["training"]["step"] == 6


def test_a_short_training_that_explodes_before_its_end_is_an_error(tiny_recipe, tmp_path):
    keys = ["SOLVER.MAX_STEPS", 5, "DATA.VAL_SPLIT", "", "SOLVER.LR", 1e5]
    with pytest.raises(MdtkError, match=r"the last \d of 5 steps had no finite loss and gradient"):
        train_here(tmp_path, tiny_recipe, keys)


def test_changes_are_refused_unless_they_are_meant(tiny_recipe, tmp_path, capsys):
    train_here(tmp_path, tiny_recipe, ["SOLVER.MAX_STEPS", 2])
    with pytest.raises(MdtkError, match=r"SOLVER\.LR"):
        train_here(tmp_path, tiny_recipe, ["SOLVER.MAX_STEPS", 2, "SOLVER.LR", 3e-4])
    capsys.readouterr()
    train_here(
        tmp_path,
        tiny_recipe,
        ["SOLVER.MAX_STEPS", 3, "SOLVER.LR", 3e-4, "SOLVER.WEIGHT_DECAY", 0.1, "CHECKPOINT.RESUME_WITH_CHANGES", True],
    )
    said = capsys.readouterr().out
    assert "SOLVER.LR: 0.0001 != 0.0003" in said
    assert checkpoint(tmp_path)["training"]["optimizer"]["param_groups"][0]["weight_decay"] == 0.1


def test_keys_that_change_no_results_never_block(tiny_recipe, tmp_path):
    train_here(tmp_path, tiny_recipe, ["SOLVER.EPOCHS", 1])
    done = checkpoint(tmp_path)["training"]["step"]
    train_here(tmp_path, tiny_recipe, ["SOLVER.EPOCHS", 2, "SOLVER.ACCUMULATE", 2, "MODEL.PRETRAINED", True])
    assert checkpoint(tmp_path)["training"]["step"] == 2 * done


@pytest.mark.parametrize(
    ("loss", "best", "better"),
    [(math.nan, None, False), (math.inf, None, False), (2.0, math.nan, True), (1.0, 2.0, True), (None, None, False)],
)
def test_a_loss_that_is_not_finite_is_never_best(loss, best, better):
    assert is_better(loss, best) == better


def test_bf16_keeps_distinct_disparities():
    torch.manual_seed(0)
    system = build_model(load_config(None, ["SOLVER.PRECISION", "bf16"])).eval()
    with torch.no_grad():
        sigmoid = system.sigmoids(system.features(torch.rand(1, 3, 32, 192)))[0]
    assert sigmoid.dtype == torch.float32
    assert sigmoid.unique().numel() > 0.9 * sigmoid.numel()


def test_bf16_losses_are_those_of_float32(tiny_recipe, tmp_path):
    keys = ["SOLVER.EPOCHS", 10, "SOLVER.MAX_STEPS", 20, "DATA.VAL_SPLIT", "", "LOSS.AUTOMASK", False]
    full, half = (
        [line["total"] for line in records(train_here(tmp_path / name, tiny_recipe, [*keys, *more]), "train")]
        for name, more in (("fp32", []), ("bf16", ["SOLVER.PRECISION", "bf16"]))
    )
    assert len(full) == 20
    assert half == pytest.approx(full, rel=0.01)


def test_float_settings_are_in_results(tiny_recipe, tmp_path):
    train_here(tmp_path, tiny_recipe, ["SOLVER.MAX_STEPS", 1, "TF32", False, "DETERMINISTIC", True])
    assert checkpoint(tmp_path)["meta"]["deterministic"] is True
    assert checkpoint(tmp_path)["meta"]["tf32"] is False
    train_here(tmp_path / "default", tiny_recipe, ["SOLVER.MAX_STEPS", 1])
    assert checkpoint(tmp_path / "default")["meta"]["deterministic"] is False


def test_a_signal_at_an_epochs_end_stops_before_its_close(tiny_recipe, tmp_path, monkeypatch, capsys):
    """An epoch may be one step long, and its evaluation longer than a cluster waits."""
    sound = train_module.train_step

    def asked(run, state, *args, **options):
        if run.at_epochs_end(state.step + 1):
            os.kill(os.getpid(), signal.SIGTERM)
        return sound(run, state, *args, **options)

    monkeypatch.setattr(train_module, "train_step", asked)
    cut = train_here(tmp_path / "cut", tiny_recipe, ["SOLVER.EPOCHS", 1])
    assert "stopped after step" in capsys.readouterr().out
    assert checkpoint(cut)["training"]["history"] == []
    monkeypatch.undo()
    train_here(cut, tiny_recipe, ["SOLVER.EPOCHS", 1])
    assert "the last epoch was not closed" in capsys.readouterr().out
    whole = train_here(tmp_path / "whole", tiny_recipe, ["SOLVER.EPOCHS", 1])
    left, right = checkpoint(cut)["training"]["history"], checkpoint(whole)["training"]["history"]
    assert left == right != []
    assert not differing(weights(cut), weights(whole))
