"""Packages for setuptools: those of mdtk/, and the recipes and split lists, which lie beside it, as mdtk/configs and
mdtk/splits. Everything else about the project is in pyproject.toml."""

from setuptools import find_packages, setup

DATA = ("configs", "splits")

setup(
    packages=[*find_packages(include=["mdtk*"]), *(f"mdtk.{folder}" for folder in DATA)],
    package_dir={f"mdtk.{folder}": folder for folder in DATA},
    package_data={
        "mdtk": ["py.typed", "*.pyi"],
        "mdtk.convert": ["*.yaml"],
        **{f"mdtk.{folder}": ["*.yaml", "**/*.yaml"] for folder in DATA},
    },
)
