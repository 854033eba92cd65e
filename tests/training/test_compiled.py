"""SOLVER.COMPILE: the same numbers within a tolerance, nothing else changed, and back to eager with a reason."""

from __future__ import annotations

import logging

import pytest
import torch

from mdtk.training.compiled import Compiled
from tests.helpers.training import differing, distance, records, train_here, weights

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


def test_what_cannot_be_compiled_goes_on_eagerly(tiny_recipe, eager, tmp_path, monkeypatch, capsys):
    """To the last bit: buffers and generators are what they were, though a part of the call was made."""

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
