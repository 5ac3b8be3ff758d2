"""Runs the producer of a stream on a thread of its own, a bounded number of items ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Final, TypeVar

T = TypeVar("T")
_END: Final = object()


@contextmanager
def ahead(items: Generator[T, None, None], depth: int) -> Iterator[Iterator[T]]:
    """An iterator over `items` that another thread fills, at most `depth` items ahead.

    An error of the producer is raised where the consumer would have met it. Leaving the block closes the producer.
    """
    with closing(items), ThreadPoolExecutor(1, "ahead") as pool:

        def consume() -> Iterator[T]:
            pending = deque(pool.submit(next, items, _END) for _ in range(depth))
            while (item := pending.popleft().result()) is not _END:
                pending.append(pool.submit(next, items, _END))
                yield item  # type: ignore[misc]  # only the sentinel is no T

        try:
            yield consume()
        finally:
            pool.shutdown(cancel_futures=True)
