"""Work that a thread does ahead of who takes its results: decoding while networks run, both while files are written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], room: int = 2) -> Iterator[T]:
    """The items in their order, made in one thread, at most `room` of them before they are asked for.

    What `items` raises is raised here in its place. When the taker ends early or fails, the thread ends with the item
    it is at. `items` may itself be `ahead` of others: each stage then has a thread.
    """
    source = iter(items)
    waiting: deque[Future[list[T]]] = deque()
    try:
        with ThreadPoolExecutor(1, "ahead") as thread:
            try:
                waiting.extend(thread.submit(_one, source) for _ in range(room))
                while item := waiting.popleft().result():
                    waiting.append(thread.submit(_one, source))
                    yield item[0]
            finally:
                for future in waiting:
                    future.cancel()
    finally:
        if isinstance(source, Iterator) and hasattr(source, "close"):
            source.close()


def _one(source: Iterator[T]) -> list[T]:
    """The next item in a list, or an empty list at the end."""
    for item in source:
        return [item]
    return []
