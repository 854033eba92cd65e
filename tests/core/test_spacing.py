"""Evenly spaced choices: all, some with both ends, one, none."""

from __future__ import annotations

import pytest

from mdtk.core.spacing import evenly_spaced


@pytest.mark.parametrize(
    ("count", "limit", "expected"),
    [
        (10, 0, list(range(10))),
        (3, 5, [0, 1, 2]),
        (101, 5, [0, 25, 50, 75, 100]),
        (4, 1, [0]),
        (0, 3, []),
    ],
)
def test_choice(count, limit, expected):
    assert evenly_spaced(count, limit) == expected


def test_as_many_as_asked_for():
    assert len(evenly_spaced(697, 50)) == 50
