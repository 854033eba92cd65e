"""Items made in a thread: their order, their number, errors in their place, and no thread left behind."""

from __future__ import annotations

import threading
import time

import pytest

from mdtk.core.ahead import ahead
from mdtk.core.errors import MdtkError


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_the_items_in_order_made_elsewhere():
    places = []

    def made():
        for number in range(20):
            places.append(threading.current_thread())
            yield number

    assert list(ahead(ahead(made()))) == list(range(20))
    assert threading.current_thread() not in places
    assert list(ahead([])) == []
    assert list(ahead([0, None, []])) == [0, None, []]
    assert not threads()


def test_no_more_than_room_are_made_before_they_are_asked_for():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    for taken, _ in enumerate(ahead(items(), room=3), start=1):
        time.sleep(0.002)
        assert len(made) <= taken + 3
    assert len(made) == 50


def test_maker_and_taker_work_at_one_time():
    """Each waits for the other at work, who would never come if one ran after the other."""
    both = threading.Barrier(2, timeout=20)

    def items():
        yield 0
        both.wait()
        yield 1

    for item in ahead(items(), room=1):
        if item == 0:
            both.wait()


def test_an_error_comes_in_its_place_through_every_stage():
    closed = []

    def items():
        try:
            yield 1
            raise MdtkError("frame 2 cannot be read; fetch it again")
        finally:
            closed.append(True)

    taken = []
    with pytest.raises(MdtkError, match="frame 2 cannot be read"):
        taken.extend(ahead(ahead(items())))
    assert taken == [1]
    assert closed
    assert not threads()


def test_who_stops_early_leaves_no_thread_and_closes_the_source():
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    stream = ahead(ahead(items()))
    assert next(stream) == 0
    stream.close()
    assert closed == [True]
    assert not threads()
