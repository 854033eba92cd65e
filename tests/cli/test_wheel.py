"""What pip installs is whole: the wheel, built from a copy of the project, works outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers.tiny import PROJECT

FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder that a wheel, built from the sdist's files, is unpacked into."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for folder in ("mdtk", "configs", "splits"):
        shutil.copytree(PROJECT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(PROJECT / name, source / name)
    script = f"from setuptools import build_meta as b; b.build_sdist({str(built)!r}); b.build_wheel({str(built)!r})"
    done = subprocess.run([sys.executable, "-c", script], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "absent from the `packages`" not in done.stderr
    (sdist,) = built.glob("mdtk_depth-*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    for pattern in ("mdtk/**/*.py", "mdtk/**/*.yaml", "mdtk/**/*.j2", "configs/**/*.yaml", "splits/*.yaml"):
        missing = {str(path.relative_to(source)) for path in source.glob(pattern)} - packed
        assert not missing, f"the sdist lacks {sorted(missing)[:5]}"
    (wheel,) = built.glob("mdtk_depth-*.whl")
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def run(installed: Path, cwd: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-m", "mdtk", *words], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_recipes_and_lists_travel(installed, tmp_path):
    for folder in ("configs", "splits"):
        wanted = {str(path.relative_to(PROJECT / folder)) for path in (PROJECT / folder).rglob("*.yaml")}
        found = {
            str(path.relative_to(installed / "mdtk" / folder)) for path in installed.rglob(f"mdtk/{folder}/**/*.yaml")
        }
        assert wanted == found
    files = {path.relative_to(PROJECT) for path in (PROJECT / "mdtk").rglob("*.*") if "__pycache__" not in path.parts}
    assert not [file for file in files if file.is_file() and not (installed / file).is_file()]
    run(installed, tmp_path, "data", "split", "--split", "eigen/test", "--output", "list.txt")
    assert len((tmp_path / "list.txt").read_text().splitlines()) == 697
    assert "mdtk = mdtk.cli.main:main" in next(installed.glob("*.dist-info/entry_points.txt")).read_text()
    assert (installed / "mdtk" / "__init__.pyi").is_file()
    # Tables and templates that modules read beside themselves, wherever one is added.
    beside = {
        str(path.relative_to(PROJECT))
        for end in ("yaml", "j2", "css", "js")
        for path in PROJECT.glob(f"mdtk/**/*.{end}")
    }
    assert "mdtk/datasets/prepare/download_table.yaml" in beside
    assert not [name for name in beside if not (installed / name).is_file()]
    assert not (installed / "tests").exists()


def test_the_sample_world_and_a_recipe_by_name(installed, tmp_path):
    sample = ("--output", "datasets/sample", "--scale", "tiny", "--only", "kitti_raw")
    run(installed, tmp_path, "data", "sample", *sample)
    environment = {**os.environ, "PYTHONPATH": str(installed), "MDTK_DATASETS": str(tmp_path / "datasets")}
    words = ["check", "--quick", "--config", "sample/monodepth2.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "mdtk", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "training can start" in done.stdout, done.stdout + done.stderr
