"""The import rule of docs/architecture.md, kept over the syntax trees: rooms in order, no circles, no way round."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "mdtk"
FLOORS = (
    *(("geometry",), ("core",), ("config",), ("losses", "datasets", "viz"), ("models", "data")),
    *(("inference", "convert"), ("evaluation",), ("training",), ("cli",)),
)
BELOW = {
    room: {below for lower in FLOORS[:floor] for below in lower} for floor, rooms in enumerate(FLOORS) for room in rooms
}
BELOW["cli"].add("synthetic")
BELOW["synthetic"] = {"geometry", "core", "datasets"}
# Third-party packages that a user may lack, and may be imported where they are used.
OPTIONAL = {"onnx", "onnxscript", "onnxruntime", "fcntl"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything of this package that a file imports; names of `from a import b` as a.b."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


def files_of(name: str) -> Iterator[Path]:
    """The file that a dotted name of this package lives in, if it is one of ours."""
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return
    for count in (len(parts), len(parts) - 1):
        path = PACKAGE.joinpath(*parts[1:count])
        for file in (path.with_suffix(".py") if count > 1 else path / "__init__.py", path / "__init__.py"):
            if file.is_file():
                yield file
                return


@pytest.mark.parametrize(
    "path", [*MODULES, *PACKAGE.rglob("__init__.py")], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_point_down(path):
    if path.parent == PACKAGE:
        return
    for line, name in imported(path):
        parts = name.split(".")
        if parts[0] != PACKAGE.name or len(parts) < 2 or parts[1].startswith("_"):
            continue
        assert parts[1] == room(path) or parts[1] in BELOW[room(path)], (
            f"{path}:{line}: {room(path)} imports {name}; it may use {', '.join(sorted(BELOW[room(path)]))}"
        )


def test_every_room_has_its_floor():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms == BELOW.keys()


def test_no_circle():
    arrows = {
        path: {file for _, name in imported(path) for file in files_of(name)} - {path} for path in PACKAGE.rglob("*.py")
    }
    while free := [path for path, targets in arrows.items() if not targets & arrows.keys()]:
        for path in free:
            del arrows[path]
    assert not arrows, f"circle among {sorted(str(path.relative_to(PACKAGE)) for path in arrows)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_imports_inside_functions(path):
    for function in ast.walk(tree(path)):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                wrong = [name for name in names if name.split(".")[0] not in OPTIONAL]
                assert not wrong, f"{path}:{node.lineno}: imports {wrong[0]} inside {function.name}"
    guarded = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"]
    assert not guarded, f"{path}:{guarded[0].lineno}: TYPE_CHECKING hides an arrow"


def test_a_module_name_stands_once():
    names = Counter(path.stem for path in MODULES)
    assert not [name for name, count in names.items() if count > 1]


def test_the_largest_room_is_under_a_quarter():
    lines: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        lines[room(path)] += len(path.read_text(encoding="utf-8").splitlines())
    name, most = lines.most_common(1)[0]
    assert most < sum(lines.values()) / 4, f"{name} holds {most} of {sum(lines.values())} lines"


def test_only_distributed_reads_torchruns_variables():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if path.name != "distributed.py":
            assert not [word for word in ("LOCAL_RANK", '"RANK"', "WORLD_SIZE") if word in text], path


def test_the_library_never_exits_the_process():
    for path in MODULES:
        if path.stem in ("errors",):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("sys.exit", "exit", "quit"), f"{path}:{node.lineno} exits"


# What runs at every step, epoch or image: it takes arguments and sections, and leaves the configuration to builders.
WITHOUT_CONFIGURATION = [
    *(path for room in ("geometry", "losses", "data", "viz") for path in (PACKAGE / room).rglob("*.py")),
    *(PACKAGE / "evaluation" / "scoring").glob("*.py"),
    *(
        PACKAGE / "models" / f"{name}.py"
        for name in ("system", "decoders", "encoders", "pose_network", "depth_network")
    ),
    *(PACKAGE / "training" / f"{name}.py" for name in ("step", "epoch", "losses_read", "solver", "finite", "logger")),
    PACKAGE / "evaluation" / "benchmark.py",
]


@pytest.mark.parametrize("path", WITHOUT_CONFIGURATION, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_builders_read_keys(path):
    for function in ast.walk(tree(path)):
        if isinstance(function, ast.FunctionDef) and not function.name.lstrip("_").startswith("build_"):
            keys = [node for node in ast.walk(function) if isinstance(node, ast.Attribute) and node.attr.isupper()]
            read = [ast.unparse(node) for node in keys if ast.unparse(node).startswith(("cfg.", "run.cfg.", "node."))]
            assert not read, f"{path}: {function.name} reads {read[0]}; let a builder hand it on"
