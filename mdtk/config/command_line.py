"""Parses the command lines of all tools: options and `KEY VALUE` pairs, in any order."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Collection, Sequence
from typing import NoReturn

from mdtk.core.errors import MdtkError

_KEY = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)*")


class ToolParser(argparse.ArgumentParser):
    """An argument parser whose `parse_tool_args` also takes pairs such as `SOLVER.LR 1e-4`, anywhere on the line.

    A word in capitals that is not the value of an option is a key, and the next word is its value, whatever it looks
    like. The values of an option that takes several end where a key begins.
    """

    def __init__(self, description: str | None, epilog: str | None = None) -> None:
        super().__init__(
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.keys: Sequence[str] | None = None
        self.familiar: Collection[str] = ()  # options of other programs, which are translated before they come here

    def parse_tool_args(
        self, argv: Sequence[str] | None = None, keys: Sequence[str] | None = None
    ) -> argparse.Namespace:
        """Parses `argv` (default: the process's command line).

        The namespace has a field for each option, and in `overrides` the pairs as KEY VALUE KEY VALUE … in their order.
        `keys` lists the only keys that the tool takes; None allows any. Ends the process, as argparse does, for words
        that it cannot read; raises `MdtkError` for a key without a value.
        """
        self.keys = keys
        words, overrides = self._split(list(sys.argv[1:] if argv is None else argv))
        if refused := [word for word in overrides[::2] if keys is not None and word not in keys]:
            known = (
                f"of the configuration keys it takes {', '.join(keys)}" if keys else "it takes no configuration keys"
            )
            self.error(f"cannot read {refused[0]}: {known}")
        args, rest = self.parse_known_args(words)
        if rest:
            self.error(f"cannot read {' '.join(rest)}: {self._advice(rest)}")
        args.overrides = overrides
        return args

    def error(self, message: str) -> NoReturn:
        """Ends the process with status 2 and one sentence, without argparse's usage, which can be twelve lines."""
        self.exit(2, f"{self.prog}: error: {message}; {self.prog} --help lists the options\n")

    @property
    def options(self) -> frozenset[str]:
        """All option strings of the parser."""
        return frozenset(self._option_string_actions)

    def format_usage(self) -> str:
        """The usage line, which also shows the KEY VALUE pairs."""
        return super().format_usage().rstrip("\n") + self._pairs() + "\n"

    def format_help(self) -> str:
        """The help, whose usage line shows the KEY VALUE pairs too."""
        usage, blank, rest = super().format_help().partition("\n\n")
        return usage + self._pairs() + blank + rest

    def _pairs(self) -> str:
        return " [KEY VALUE ...]" if self.keys is None or self.keys else ""

    def _advice(self, rest: Sequence[str]) -> str:
        """What to type for words that no option takes: the nearest option, where there is one."""
        unknown = [word.partition("=")[0] for word in rest if word.startswith("--")]
        near = difflib.get_close_matches(unknown[0], sorted({*self.options, *self.familiar}), n=1) if unknown else []
        if near:
            return f"the nearest option is {near[0]}"
        return "options begin with --, configuration keys are in capitals"

    def _split(self, words: list[str]) -> tuple[list[str], list[str]]:
        kept: list[str] = []
        overrides: list[str] = []
        place = 0
        while place < len(words):
            word = words[place]
            values = self._values_of(word, words[place + 1 :])
            if not word.startswith("-") and _KEY.fullmatch(word):
                if place + 1 == len(words):
                    raise MdtkError(f"{word} has no value; configuration keys come in pairs: KEY VALUE")
                overrides += [word, words[place + 1]]
                values = 1
            else:
                kept += words[place : place + 1 + values]
            place += 1 + values
        return kept, overrides

    def _values_of(self, word: str, following: Sequence[str]) -> int:
        """The number of words in `following` that are values of the option `word`."""
        action = self._option_string_actions.get(word)
        if action is None or "=" in word:
            return 0
        if action.nargs is None:
            return min(1, len(following))
        if isinstance(action.nargs, int):
            return min(action.nargs, len(following))
        count = 0
        for value in following:
            if value.startswith("--") or _KEY.fullmatch(value) or (action.nargs == "?" and count):
                break
            count += 1
        return count
