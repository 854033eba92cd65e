"""A command: its options, its examples, and the module that does its work, which is imported when it runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mdtk.config.command_line import ToolParser
from mdtk.config.familiar import gather, translate
from mdtk.config.familiar_words import DICTIONARIES


@dataclass(frozen=True)
class Command:
    """One subcommand of `mdtk`, and one file of tools/."""

    name: str
    tool: str  # tools/<tool>.py; empty: there is none
    summary: str  # its line in the list of commands
    add_options: Callable[[ToolParser], None]
    work: str  # the module whose `main(args)` does the work and gives the exit status
    examples: tuple[str, ...]  # what follows the command's name
    keys: tuple[str, ...] | None = None  # the configuration keys that it takes; None: any
    details: str = ""  # what --help says below the summary
    prepare: Callable[[list[str], ToolParser], tuple[list[str], str]] | None = None  # changes the words; tells what

    def parser(self, prog: str) -> ToolParser:
        """The parser of its options; `prog` is what the user typed to come here."""
        description = f"{self.summary}.\n\n{self.details}".rstrip()
        examples = "\n".join(f"  {prog} {example}" for example in self.examples)
        parser = ToolParser(description, epilog=f"examples:\n{examples}")
        parser.prog = prog
        parser.keys = self.keys
        parser.familiar = DICTIONARIES.get(self.name, {})
        self.add_options(parser)
        return parser

    def run(self, words: Sequence[str], prog: str) -> int | None:
        """Parses the words after the command's name and does the work."""
        parser = self.parser(prog)
        own_words, notice = self._own_words(list(words), parser)
        args = parser.parse_tool_args(own_words, self.keys)
        work = importlib.import_module(self.work)
        if notice and importlib.import_module("mdtk.core.distributed").launched_as_main():
            print(notice, flush=True)
        status: int | None = work.main(args)
        return status

    def _own_words(self, words: list[str], parser: ToolParser) -> tuple[list[str], str]:
        """The words in this project's options, those of Monodepth2 and BDEdepth replaced; what to tell about them."""
        if self.prepare is not None:
            return self.prepare(words, parser)
        kept, met = translate(words, DICTIONARIES.get(self.name, {}), parser.options)
        notes = [f"note: {one.word.name}: {one.word.note}" for one in met if one.word.note]
        return gather(kept, "--datasets") if met else kept, "\n".join(notes)
