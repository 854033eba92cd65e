"""SOLVER.COMPILE: the same numbers within a tolerance, nothing else changed, and back to eager with a reason."""

from __future__ import annotations

import logging

import pytest
import torch

from mdtk.training import compiled
from mdtk.training.compiled import Compiled
from tests.helpers.device import on_cpu
from tests.helpers.processes import train_in
from tests.helpers.training import checkpoint, differing, distance, records, train_here, train_killed_at, weights

# What a backend is given. Kernels of torch's own take minutes on a CPU: see benchmarks/README.md.
# Steepest descent without batch norms: Adam would make whole steps of gradients that are nothing but rounding, and
# norms over four values would enlarge it.
SMALL = (
    *("MODEL.SCALES", "[0]", "DATA.SOURCES", "[-1]", "SOLVER.MAX_STEPS", "2", "DATA.VAL_SPLIT", ""),
    *("SOLVER.OPTIMIZER", "sgd", "SOLVER.LR", "0.1", "MODEL.FREEZE_BN", "true"),
)


@pytest.fixture
def backend(monkeypatch):
    """`torch.compile` with a backend that runs the graph as it is, and what it was given."""
    given, compile_ = [], torch.compile

    def watched(graph, inputs):
        given.append(len(graph.graph.nodes))
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda call, **_: compile_(call, backend=watched, dynamic=False))
    monkeypatch.setattr(compiled, "EAGER_LOSS", ())
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "propagate", False)  # pytest would keep all it says
    torch._dynamo.reset()
    yield given
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def eager(tiny_recipe, tmp_path_factory):
    return train_here(tmp_path_factory.mktemp("eager"), tiny_recipe, SMALL)


def test_a_compiled_training_is_the_eager_one(tiny_recipe, eager, backend, tmp_path):
    """The loss in one graph, however many steps; the numbers to a tolerance, the same names of weights."""
    ours = train_here(tmp_path, tiny_recipe, [*SMALL, "SOLVER.COMPILE", "loss"])
    assert len(backend) == 1
    assert backend[0] > 100
    for mine, theirs in zip(records(ours, "train"), records(eager, "train"), strict=True):
        assert mine["total"] == pytest.approx(theirs["total"], rel=1e-5)
    moved = distance(weights(eager), weights(train_here(tmp_path / "0", tiny_recipe, [*SMALL, "SOLVER.LR", "1e-30"])))
    assert distance(weights(ours), weights(eager)) < 1e-3 * moved


@on_cpu
def test_on_a_cpu_the_eager_loss_stays(tiny_recipe, eager, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("nothing is to be compiled"))
    ours = train_here(tmp_path, tiny_recipe, [*SMALL, "SOLVER.COMPILE", "loss"])
    assert not differing(weights(ours), weights(eager))
    assert capsys.readouterr().out.count("SOLVER.COMPILE loss: on a CPU the loss is faster as it is") == 1


def without_kernels() -> None:
    """`torch.compile` without the last of its steps, forward and backward, in a process of its own."""
    compile_ = torch.compile
    torch.compile = lambda call, **_: compile_(call, backend="aot_eager", dynamic=False)


@on_cpu
def test_compiled_networks_in_two_processes(tiny_recipe, tmp_path):
    """The system is compiled under DDP, whose averages of gradients stay: where two eager processes go."""
    keys = [*SMALL, "SOLVER.BATCH_SIZE", "4"]
    ours = train_in(2, tmp_path / "ours", tiny_recipe, [*keys, "SOLVER.COMPILE", "all"], without_kernels)
    theirs = train_in(2, tmp_path / "theirs", tiny_recipe, keys)
    start = train_here(tmp_path / "start", tiny_recipe, [*keys, "SOLVER.LR", "1e-30"])
    moved = distance(weights(theirs), weights(start))
    assert moved > 0
    assert distance(weights(ours), weights(theirs)) < 1e-3 * moved
    assert "could not be compiled" not in (ours / "train.log").read_text()


def test_a_compiled_training_is_killed_and_resumed(tiny_recipe, backend, tmp_path):
    """With networks and loss compiled, to the last bit the training that was left alone."""
    keys = [*SMALL, "SOLVER.MAX_STEPS", "3", "SOLVER.COMPILE", "all"]
    whole = train_here(tmp_path / "whole", tiny_recipe, keys)
    train_killed_at(2, tmp_path / "cut", tiny_recipe, [*keys, "CHECKPOINT.PERIOD", "1"])
    assert checkpoint(tmp_path / "cut")["training"]["step"] == 1
    torch._dynamo.reset()  # another process knows no graphs
    graphs = len(backend)
    cut = train_here(tmp_path / "cut", tiny_recipe, keys)
    assert len(backend) > graphs
    assert not differing(weights(cut), weights(whole))
    assert [line["step"] for line in records(cut, "train")] == [1, 2, 3]


def test_what_cannot_be_compiled_goes_on_eagerly(tiny_recipe, eager, tmp_path, monkeypatch, capsys):
    """To the last bit: buffers and generators are what they were, though a part of the call was made."""

    monkeypatch.setattr(compiled, "EAGER_LOSS", ())

    def broken(call, **_):
        def half_way(*arguments):
            call(*arguments)
            raise RuntimeError("no compiler here\nand more")

        return half_way

    monkeypatch.setattr(torch, "compile", broken)
    ours = train_here(tmp_path, tiny_recipe, [*SMALL, "SOLVER.COMPILE", "all"])
    assert not differing(weights(ours), weights(eager))
    said = capsys.readouterr().out
    for what in ("networks", "loss"):
        line = f"the {what} could not be compiled (RuntimeError: no compiler here); it goes on eagerly"
        assert said.count(line) == 1


def test_an_error_of_both_is_not_the_compilers():
    def wrong(*_):
        raise ValueError("wrong input")

    call = Compiled("the loss", wrong, wrong, [], torch.device("cpu"), pytest.fail)
    with pytest.raises(ValueError, match="wrong input"):
        call(1)
    assert call.fast is not None
