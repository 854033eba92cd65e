"""The documents: every command parses, short versions of them run, the keys that they name exist, and the site builds.

A block of commands follows the short versions that are run here, `<!-- run: mdtk … -->`, in a folder with a tiny
checkpoint, a recipe, a clip and the sample world; or `<!-- not run: why -->`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mdtk.cli import main as command_line
from mdtk.config import default_config, dump, load_config
from mdtk.core.weights import write_weights
from mdtk.models.system import build_model
from tests.helpers.tiny import PROJECT

PAGES = sorted([PROJECT / "README.md", PROJECT / "datasets" / "README.md", *(PROJECT / "docs").glob("*.md")])
BLOCK = re.compile(r"((?:^<!-- (?:not )?run: .*-->\n)*)^```(?:bash)?\n(.*?)^```", re.M | re.S)
RUN, NOT_RUN = re.compile(r"<!-- run: (.*?) -->"), re.compile(r"<!-- not run: .+? -->")
STARTS = ("mdtk ", "python tools/", "torchrun ")
TOOLS = {one.tool: one for one in command_line.COMMANDS.values() if one.tool}
TOOLS |= {one.tool: one for group in command_line.GROUPS.values() for one in group.values() if one.tool}


def blocks(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The markers and the commands of each block of a page; lines that end with a backslash are joined."""
    for markers, body in BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = [line.strip() for line in body.replace("\\\n", " ").splitlines()]
        found = [part.strip() for line in lines for part in line.split(";") if part.strip().startswith(STARTS)]
        if found:
            yield markers, found


COMMANDS = sorted({(page.name, one) for page in PAGES for _, found in blocks(page) for one in found})
SHORT = [(page.name, one) for page in PAGES for one in RUN.findall(page.read_text(encoding="utf-8"))]


def command_of(line: str) -> tuple[command_line.Command, list[str]]:
    """The command that a line calls, and the words after its name."""
    words = shlex.split(line.split("&&")[0].split(" > ")[0].replace("…", "x"), comments=True)
    if words[0] == "mdtk":
        known, rest = (
            (command_line.GROUPS[words[1]], words[2:])
            if words[1] in command_line.GROUPS
            else (command_line.COMMANDS, words[1:])
        )
        return known[rest[0]], rest[1:]
    place = next(place for place, word in enumerate(words) if word.startswith("tools/"))
    return TOOLS[Path(words[place]).stem], words[place + 1 :]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page}: {line[:60]}" for page, line in COMMANDS])
def test_every_command_parses(page, line):
    command, words = command_of(
        re.sub(r"\[(--[^\]]*)\]", r"\1", line).replace("fx fy cx cy", "1 2 3 4").rstrip(" &")
    )  # [--option] is optional
    parser = command.parser("x")
    if {"--help", "-h"} & set(words):
        return
    words, _ = command._own_words(words, parser)
    parser.parse_tool_args(words, command.keys)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_has_a_short_version(page):
    missing = [found[0] for markers, found in blocks(page) if not RUN.search(markers) and not NOT_RUN.search(markers)]
    named = {name for markers, _ in blocks(page) for name in re.findall(r"tests/[\w/]+\.py", markers)}
    assert not [name for name in named if not (PROJECT / name).is_file()]
    assert not missing, f"no <!-- run: … --> before: {missing}"


@pytest.fixture(scope="module")
def desk(tmp_path_factory, tiny_world, tiny_recipe, clip) -> Path:
    """A folder with what the short versions name."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "sample").symlink_to(tiny_world)
    (folder / "clip").symlink_to(clip / "color")
    frames = len(list((clip / "color").iterdir()))
    (folder / "clip_poses.txt").write_text("".join(f"1 0 0 {x / 10} 0 1 0 0 0 0 1 0\n" for x in range(frames)))
    shutil.copy(tiny_recipe, folder / "tiny.yaml")
    shutil.copy(clip / "color" / "000000.png", folder / "street.jpg")
    cfg = load_config(tiny_recipe, ["MODEL.PRETRAINED", "false"])
    torch.manual_seed(0)
    write_weights(folder / "tiny.pth", {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    return folder


@pytest.mark.parametrize(("page", "line"), SHORT, ids=[f"{page}: {line[:60]}" for page, line in SHORT])
def test_short_versions_run(page, line, desk, monkeypatch):
    monkeypatch.chdir(desk)
    monkeypatch.setenv("MDTK_DATASETS", str(desk))
    monkeypatch.setenv("MDTK_CACHE", str(desk / "cache"))
    words = shlex.split(line)
    assert words[0] == "mdtk"
    assert not command_line.dispatch(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_that_are_named_exist(page):
    cfg = default_config()
    for name in set(re.findall(r"`([A-Z]+(?:\.[A-Z_]+)+)(?:[ `])", page.read_text(encoding="utf-8"))):
        node = cfg
        for part in (f"DATA.{name}" if name.startswith("SEQUENCE.") else name).split("."):
            assert part in node or name.startswith("ROOTS."), f"{page.name}: {name} is no key"
            node = node.get(part, {})


def test_the_site_builds_without_warnings(tmp_path):
    if not importlib.util.find_spec("mkdocs"):
        pytest.skip('the site needs pip install -e ".[docs]"')
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        words, cwd=PROJECT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    assert "DepthModel" in (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")


def test_the_notebook_runs(desk, monkeypatch):
    nbformat, nbclient = (pytest.importorskip(name) for name in ("nbformat", "nbclient"))
    monkeypatch.setenv("CHECKPOINT", str(desk / "tiny.pth"))
    monkeypatch.setenv("PICTURE", str(desk / "street.jpg"))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    notebook = nbformat.read(PROJECT / "examples" / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "the stored notebook holds no outputs"
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(desk))
    last = notebook.cells[-1].outputs[0].data["text/plain"]
    assert "'abs_rel'" in last
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
