"""Files beside the code, which nothing else runs here: workflows, the image, hooks, forms and the citation."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pytest
import yaml

import mdtk
from tests.helpers.tiny import PROJECT

WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_what_is_there(path):
    """Actions have a version, commands name files of this project, and the Pythons are those that it takes."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has none")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 60
        steps = job["steps"]
        assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
        commands = [line for step in steps for line in step.get("run", "").splitlines()]
        assert commands
        for words in map(shlex.split, commands):
            if words[:2] == ["pip", "install"]:
                extras = set(re.findall(r"\w+", words[2].removeprefix("."))) if words[2].startswith(".") else {"?"}
                assert extras <= set(project["optional-dependencies"])
            else:
                assert words[0] in ("bash", "python")
                assert (PROJECT / words[1]).is_file()
        for step in steps:
            given = step.get("with", {})
            assert (PROJECT / given.get("cache-dependency-path", "pyproject.toml")).is_file()
            named = str(given.get("python-version", ""))
            versions = job["strategy"]["matrix"]["python"] if "matrix.python" in named else [named] * bool(named)
            least = project["requires-python"].removeprefix(">=3.")
            assert all(int(version.removeprefix("3.")) >= int(least) for version in versions)


def test_the_image_installs_what_the_project_needs(tmp_path):
    """Without Docker: what it copies is there, its list of needs is the project's, and its variables are read."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has none")
    text = (PROJECT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    copied = [name for names in re.findall(r"^COPY (.+) \S+$", text, re.M) for name in names.split()]
    assert all((PROJECT / name).exists() for name in copied)
    assert {"pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "configs", "splits"} <= set(copied)
    (script,) = re.findall(r"^RUN (python -c .+?) > /tmp/needs\.txt +&& pip install .+ -r /tmp/needs\.txt$", text, re.M)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    needs = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert needs.splitlines() == [*project["dependencies"], *project["optional-dependencies"]["onnx"]]
    variables = {pair.partition("=")[0] for pair in re.findall(r"^ENV (.+)$", text, re.M)[0].split()}
    code = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "mdtk").rglob("*.py"))
    assert all(f'"{name}"' in code for name in variables - {"HF_HOME"})  # which huggingface_hub reads


def test_files_for_the_repository_agree_with_the_project():
    """The tests are run, the citation has the version, hooks are tools of `dev`."""
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "tests.yml").read_text())
    assert "bash run_tests.sh" in [step.get("run") for step in workflow["jobs"]["tests"]["steps"]]
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (mdtk.__version__, "Apache-2.0")
    needed = (PROJECT / "pyproject.toml").read_text()
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert all(f'"{hook["entry"].split()[0]}"' in needed or hook["entry"].startswith("python ") for hook in hooks)
    for form in (PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        assert form.name == "config.yml" or {"name", "description", "body"} <= yaml.safe_load(form.read_text()).keys()
