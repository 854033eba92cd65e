"""Where the reference vectors are: MDTK_REFERENCE, else ../shared/reference, else the thinned set that is committed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.reference.stored import Reference

PROJECT = Path(__file__).resolve().parents[2]
THINNED = PROJECT / "tests" / "reference" / "vectors"


def find_reference() -> Path:
    """The folder to test against."""
    if folder := os.environ.get("MDTK_REFERENCE"):
        return Path(folder)
    shared = PROJECT.parent / "shared" / "reference"
    return shared if (shared / "meta.json").is_file() else THINNED


@pytest.fixture(scope="session")
def reference() -> Reference:
    folder = find_reference()
    assert (folder / "meta.json").is_file(), f"{folder} holds no meta.json; MDTK_REFERENCE names the folder that does"
    return Reference(folder)
