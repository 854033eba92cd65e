"""A recipe on any number of processes: the gradient is that of the whole batch, or the rate grows with the batch."""

from __future__ import annotations

import pytest
import torch

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.training.prepare import set_up, size_batch
from tests.helpers.device import on_cpu
from tests.helpers.processes import train_in
from tests.helpers.training import NO_MOVE, distance, records, train_here, weights

# Steepest descent without what samples of one batch share: norms, noise.
STEPS = (
    *("SOLVER.OPTIMIZER", "sgd", "SOLVER.MOMENTUM", "0", "SOLVER.LR", "1.0", "SOLVER.MAX_STEPS", "2"),
    *("SOLVER.BATCH_SIZE", "4", "MODEL.FREEZE_BN", "true", "LOSS.TIE_NOISE", "0.0"),
)


@on_cpu
def test_three_processes_go_where_one_goes(tiny_recipe, tmp_path):
    """Shares of 1, 1 and 2 samples: each counts alike, in the gradient, in the log, in validation."""
    one = train_here(tmp_path / "one", tiny_recipe, STEPS)
    three = train_in(3, tmp_path / "three", tiny_recipe, STEPS)
    moved = distance(weights(one), weights(train_here(tmp_path / "start", tiny_recipe, [*STEPS, *NO_MOVE])))
    assert moved > 1e-2
    assert distance(weights(three), weights(one)) < 1e-4 * moved
    for ours, theirs in zip(records(three, "train"), records(one, "train"), strict=True):
        assert ours["total"] == pytest.approx(theirs["total"], rel=1e-5)
    for ours, theirs in zip(records(three, "epoch"), records(one, "epoch"), strict=True):
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-4)


@on_cpu
def test_uneven_parts_in_uneven_shares(tiny_recipe, tmp_path):
    """5 samples: 2 and 3 a process, in 2 parts each (1 and 1, 1 and 2)."""
    keys = [*STEPS, "SOLVER.BATCH_SIZE", 5, "DATA.VAL_SPLIT", ""]
    one = train_here(tmp_path / "one", tiny_recipe, keys)
    two = train_in(2, tmp_path / "two", tiny_recipe, [*keys, "SOLVER.ACCUMULATE", 2])
    start = train_here(tmp_path / "start", tiny_recipe, [*keys, *NO_MOVE])
    assert distance(weights(two), weights(one)) < 1e-4 * distance(weights(one), weights(start))


@on_cpu
def test_a_batch_a_process_raises_the_rate(tiny_recipe, tmp_path):
    """Two processes with 2 samples are as one with 4 at twice the rate that belongs to 2."""
    keys = [*STEPS, "SOLVER.BATCH_SIZE", 2, "SOLVER.LR", 0.5, "SOLVER.BATCH_PER_PROCESS", 2, "DATA.VAL_SPLIT", ""]
    two = train_in(2, tmp_path / "two", tiny_recipe, keys)
    one = train_here(tmp_path / "one", tiny_recipe, [*STEPS, "DATA.VAL_SPLIT", ""])
    start = train_here(tmp_path / "start", tiny_recipe, [*STEPS, "DATA.VAL_SPLIT", "", *NO_MOVE])
    assert distance(weights(two), weights(one)) < 1e-4 * distance(weights(one), weights(start))
    assert records(two, "train")[0]["lr"] == 1.0


def test_sizing_a_batch_twice_changes_nothing(capsys):
    cfg = load_config(None, ["SOLVER.BATCH_PER_PROCESS", "3", "SOLVER.MIN_LR", "1e-6"])
    sized = size_batch(cfg, 8)
    assert (sized.SOLVER.BATCH_SIZE, sized.SOLVER.LR, sized.SOLVER.MIN_LR) == (24, 2e-4, 2e-6)
    assert (
        "3 x 8 processes: the batch is 24 instead of 12, so LR is 0.0002 instead of 0.0001" in capsys.readouterr().out
    )
    assert size_batch(sized, 8) == sized
    assert not capsys.readouterr().out
    assert size_batch(load_config(None, []), 8).SOLVER.BATCH_SIZE == 12


def test_more_parts_than_samples_are_refused(tiny_recipe, tmp_path):
    keys = ["OUT_DIR", str(tmp_path), "SOLVER.ACCUMULATE", "3"]
    with pytest.raises(MdtkError, match="ACCUMULATE 3 is more parts than a process has samples \\(2\\)"):
        set_up(load_config(tiny_recipe, keys), torch.device("cpu"))
