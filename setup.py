"""Packages for setuptools: those of mdtk/, and the recipes and split lists, which lie beside it, as mdtk/configs and
mdtk/splits. Everything else about the project is in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
folders = [folder for top in ("configs", "splits") for folder in (HERE / top, *(HERE / top).rglob("*/"))]
data = {f"mdtk.{'.'.join(folder.relative_to(HERE).parts)}": folder for folder in folders if any(folder.glob("*.yaml"))}

setup(
    packages=[*find_packages(include=["mdtk*"]), "mdtk.configs", *(name for name in data if name != "mdtk.configs")],
    package_dir={"mdtk.configs": "configs", **{name: str(path.relative_to(HERE)) for name, path in data.items()}},
    package_data={
        "mdtk": ["py.typed", "*.pyi"],
        "mdtk.convert": ["*.yaml"],
        "mdtk.evaluation": ["*.yaml"],
        "mdtk.evaluation.report": ["*.j2", "*.css", "*.js"],
        "mdtk.datasets.prepare": ["*.yaml"],
        **{name: ["*.yaml"] for name in data},
    },
)
