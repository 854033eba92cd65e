"""Options and KEY VALUE pairs in any order."""

from __future__ import annotations

import itertools

import pytest

from mdtk.config.command_line import ToolParser
from mdtk.core.errors import MdtkError


def parser() -> ToolParser:
    tool = ToolParser("A tool.")
    tool.add_argument("--config", default="")
    tool.add_argument("--datasets", nargs="+", default=[])
    tool.add_argument("--K", nargs=4, type=float)
    tool.add_argument("--quick", action="store_true")
    return tool


def test_any_order():
    groups = (
        *(["OUT_DIR", "x"], ["--config", "RECIPE"], ["--datasets", "nyuv2", "make3d"]),
        *(["SOLVER.GAMMA", "-3"], ["--quick"]),
    )
    for order in itertools.permutations(groups):
        args = parser().parse_tool_args([word for group in order for word in group])
        assert (args.config, args.datasets, args.quick) == ("RECIPE", ["nyuv2", "make3d"], True)
        pairs = dict(zip(args.overrides[::2], args.overrides[1::2], strict=True))
        assert pairs == {"OUT_DIR": "x", "SOLVER.GAMMA": "-3"}


def test_values_of_options_are_no_keys():
    args = parser().parse_tool_args(["--K", "-1", "2", "3", "4", "SEED", "7", "--config=UPPER"])
    assert (args.K, args.overrides, args.config) == ([-1.0, 2.0, 3.0, 4.0], ["SEED", "7"], "UPPER")


def test_what_cannot_be_read(capsys):
    with pytest.raises(MdtkError, match="SEED has no value"):
        parser().parse_tool_args(["SEED"])
    for words in (["solver.lr", "3"], ["--konfig", "x"], ["--conf", "x"]):
        with pytest.raises(SystemExit):
            parser().parse_tool_args(words)
        assert f"cannot read {words[0]}" in capsys.readouterr().err


def test_the_nearest_option_is_named_and_help_shows_the_pairs(capsys):
    tool = parser()
    tool.familiar = ("--model_name",)
    for word, near in (("--quik", "--quick"), ("--model_nam=x", "--model_name")):
        with pytest.raises(SystemExit):
            tool.parse_tool_args([word])
        said = capsys.readouterr().err
        assert f"cannot read {word}: the nearest option is {near}; " in said
        assert said.count("\n") == 1, "one sentence"
    assert "[KEY VALUE ...]" in tool.format_help().split("\n\n")[0]
    tool.keys = ()
    assert "KEY VALUE" not in tool.format_help() + tool.format_usage()
    with pytest.raises(SystemExit):
        tool.parse_tool_args(["SEED", "1"], ())
    assert "KEY VALUE" not in capsys.readouterr().err
