"""The command `mdtk`: its help answers at once and its commands are those of tools/."""

from __future__ import annotations

import re
import resource
import subprocess
import sys

import pytest

from mdtk.cli import main as command_line
from mdtk.cli.options import data_options, evaluation_options, model_options
from mdtk.convert.formats import CONVERTERS
from mdtk.core.errors import MdtkError
from mdtk.evaluation.io.external import KINDS
from mdtk.evaluation.scoring.map_metrics import MAP_METRICS
from mdtk.evaluation.scoring.temporal import TAE
from mdtk.synthetic import LAYOUTS
from mdtk.synthetic.world import SCALES
from tests.helpers.tiny import PROJECT

ALL = [*command_line.COMMANDS.values(), *(one for group in command_line.GROUPS.values() for one in group.values())]


def test_help_imports_nothing_heavy():
    """What takes seconds to import stays out of every --help, in a process of its own."""
    script = (
        "import sys, contextlib, io\n"
        "from mdtk.cli.main import COMMANDS, GROUPS, dispatch\n"
        "lines = [['--help'], ['--version'], ['data'], *([name, '--help'] for name in COMMANDS)]\n"
        "lines += [['data', name, '--help'] for name in GROUPS['data']]\n"
        "for line in lines:\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "        dispatch(line)\n"
        "print(sorted({'torch', 'timm', 'cv2', 'scipy', 'skimage', 'torchvision'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.name)
def test_help_has_two_examples_that_parse(command, capsys):
    parser = command.parser(f"mdtk {command.name}")
    assert len(command.examples) >= 2
    for example in command.examples:
        assert f"mdtk {command.name} {example}".rstrip() in parser.format_help().replace("  \n", "\n")
        words, _ = command._own_words(example.split(), command.parser("x"))
        command.parser("x").parse_tool_args(words, command.keys)


def test_every_tool_is_a_command():
    tools = {path.stem for path in (PROJECT / "tools").glob("*.py")}
    assert tools == {command.tool for command in ALL if command.tool}
    for tool in tools:
        assert f'tool_main("{tool}")' in (PROJECT / "tools" / f"{tool}.py").read_text()


def test_choices_are_those_of_the_rooms():
    """The options name them without importing the rooms, which import torch."""
    assert tuple(CONVERTERS) == model_options.FORMATS
    assert tuple(KINDS) == evaluation_options.PREDICTIONS_ARE
    assert (*MAP_METRICS, TAE) == evaluation_options.MAP_METRICS
    assert tuple(LAYOUTS) == data_options.LAYOUTS
    assert tuple(SCALES) == data_options.SAMPLE_SCALES


def test_help_answers_in_under_a_second():
    """CPU time of a process of its own: the machine may be busy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = []
    for words in (["--help"], ["data", "fetch", "--help"], ["train", "--help"]):
        subprocess.run([sys.executable, "-m", "mdtk", *words], capture_output=True, check=True, cwd=PROJECT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        before = after
    assert max(times) < 1, times


def test_overview_and_unknown_commands(capsys):
    command_line.dispatch([])
    printed = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", printed, re.M) for name in command_line.COMMANDS)
    with pytest.raises(MdtkError, match="no command evalute; the nearest is evaluate"):
        command_line.dispatch(["evalute"])
    with pytest.raises(MdtkError, match="mdtk data has no command smaple; the nearest is sample"):
        command_line.dispatch(["data", "smaple"])


def test_the_distribution_is_not_called_mdtk():
    """That name on PyPI is somebody else's."""
    assert 'name = "mdtk-depth"' in (PROJECT / "pyproject.toml").read_text()
    files = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("mdtk/**/*.py"), *PROJECT.glob("*.sh")]
    assert not [path for path in files if re.search(r"pip install \"?mdtk(?!-depth)", path.read_text())]
