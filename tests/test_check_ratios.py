"""The comparison of benchmark ratios with the committed ones."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from mdtk.core.errors import MdtkError

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
KNOWN = {
    "item": {"ratio": 1.0, "bar": 1.05, "better": "lower", "command": "b.py"},
    "speed": {"ratio": 2.0, "bar": 1.5, "better": "higher", "command": "b.py"},
}


@pytest.fixture(scope="module")
def checker():
    spec = importlib.util.spec_from_file_location("check_ratios", FOLDER / "check_ratios.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runs(*pairs: tuple[float, float]):
    """A runner that gives these ratios one run after the other, and counts."""
    left = list(pairs)
    return lambda command: {"item": {"ratio": left[0][0]}, "speed": {"ratio": left.pop(0)[1]}}


def test_one_good_run_of_three_is_enough_for_each_ratio(checker):
    assert checker.check("b.py", KNOWN, runs((1.19, 1.61))) == []
    assert checker.check("b.py", KNOWN, runs((1.5, 2.0), (1.5, 1.0), (1.1, 1.0))) == []


def test_a_ratio_that_is_worse_three_times_is_named(checker):
    (text,) = checker.check("b.py", KNOWN, runs((1.21, 2.0), (1.3, 1.0), (1.4, 1.0)))
    assert text == "item: 1.210, 1.300, 1.400; committed 1.000 (b.py)"
    (text,) = checker.check("b.py", KNOWN, runs((1, 1.59), (1, 1.5), (1, 1.4)))
    assert text.startswith("speed: 1.590")


def test_a_figure_that_is_gone_and_a_script_that_fails(checker):
    with pytest.raises(MdtkError, match="gives no figure 'item'"):
        checker.check("b.py", KNOWN, lambda command: {})
    with pytest.raises(MdtkError, match="wrote no figures"):
        checker.run("-c 'raise SystemExit(3)'")


def test_what_is_committed_names_scripts_that_are_there():
    committed = json.loads((FOLDER / "ratios.json").read_text(encoding="utf-8"))
    for one in committed.values():
        assert (FOLDER.parent / one["command"].split()[0]).is_file()
        assert one["better"] in ("lower", "higher")
        assert one["ratio"] > 0
