from __future__ import annotations

import threading
from collections.abc import Generator
from itertools import islice

import pytest

from avatar_sdk.ahead import ahead


def test_items_arrive_in_order_from_another_thread() -> None:
    threads = set()

    def produce() -> Generator[int, None, None]:
        for k in range(20):
            threads.add(threading.get_ident())
            yield k

    with ahead(produce(), 3) as items:
        assert list(items) == list(range(20))
    assert threading.get_ident() not in threads


def test_the_producer_is_at_most_so_far_ahead() -> None:
    produced: list[int] = []

    def produce() -> Generator[int, None, None]:
        for k in range(100):
            produced.append(k)
            yield k

    with ahead(produce(), 3) as items:
        for taken in islice(items, 10):
            assert len(produced) <= taken + 1 + 4
    assert len(produced) <= 14


def test_an_error_arrives_where_it_belongs_and_the_producer_is_closed() -> None:
    closed = threading.Event()

    def produce() -> Generator[int, None, None]:
        try:
            yield 1
            raise ValueError("damaged")
        finally:
            closed.set()

    seen = []
    with ahead(produce(), 2) as items, pytest.raises(ValueError, match="damaged"):
        seen.extend(items)
    assert seen == [] or seen == [1]
    assert closed.is_set()


def test_leaving_early_closes_the_producer() -> None:
    closed = threading.Event()

    def produce() -> Generator[int, None, None]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    with ahead(produce(), 2) as items:
        next(items)
    assert closed.is_set()
