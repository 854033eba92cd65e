"""`mdtk COMMAND …`: lists the commands, and runs one."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mdtk import __version__
from mdtk.cli.options.data_options import DATA_COMMANDS
from mdtk.cli.options.evaluation_options import EVALUATION_COMMANDS
from mdtk.cli.options.model_options import MODEL_COMMANDS
from mdtk.cli.options.prediction_options import PREDICTION_COMMANDS
from mdtk.cli.options.training_options import TRAINING_COMMANDS
from mdtk.cli.subcommand import Command
from mdtk.core.errors import MdtkError, run_tool

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (*TRAINING_COMMANDS, *EVALUATION_COMMANDS, *PREDICTION_COMMANDS, *MODEL_COMMANDS)
}
GROUPS: dict[str, dict[str, Command]] = {"data": {command.name: command for command in DATA_COMMANDS}}


def overview() -> str:
    """What `mdtk --help` prints."""
    lines = ["usage: mdtk COMMAND [--help] …", "", "Self-supervised monocular depth: train, measure, predict.", ""]
    lines += [f"  {name:<12}{command.summary}" for name, command in COMMANDS.items()]
    for group, commands in GROUPS.items():
        lines += ["", f"  {group} {{{' | '.join(commands)}}}: data of every kind"]
    lines += ["", "mdtk COMMAND --help says more; docs/coming_from.md translates from Monodepth2 and BDEdepth."]
    return "\n".join(lines)


def group_overview(group: str) -> str:
    """What `mdtk data --help` prints."""
    lines = [f"usage: mdtk {group} COMMAND [--help] …", ""]
    lines += [f"  {name:<14}{command.summary}" for name, command in GROUPS[group].items()]
    first, second = list(GROUPS[group].values())[:2]
    lines += ["", "examples:", *(f"  mdtk {group} {one.name} {one.examples[0]}" for one in (first, second))]
    return "\n".join(lines)


def dispatch(words: Sequence[str]) -> int | None:
    """Runs the command that the words begin with. Raises `MdtkError` for an unknown one."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return None
    if words[0] == "--version":
        print(f"mdtk {__version__}")
        return None
    name, rest, known, prog = words[0], list(words[1:]), COMMANDS, "mdtk"
    if name in GROUPS:
        if not rest or rest[0] in ("-h", "--help"):
            print(group_overview(name))
            return None
        known, prog = GROUPS[name], f"mdtk {name}"
        name, rest = rest[0], rest[1:]
    if name not in known:
        near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
        raise MdtkError(f"{prog} has no command {name}; the nearest is {near[0]}, and {prog} --help lists all")
    return known[name].run(rest, f"{prog} {name}")


def main() -> int:
    """The entry point of the command `mdtk`."""
    return run_tool(lambda: dispatch(sys.argv[1:]))


def tool_main(tool: str) -> Callable[[], int | None]:
    """The `main` of tools/<tool>.py: the same command, which reads the process's command line."""
    commands = [*COMMANDS.values(), *(one for group in GROUPS.values() for one in group.values())]
    command = next(one for one in commands if one.tool == tool)
    return lambda: command.run(sys.argv[1:], f"python {Path('tools') / tool}.py")
