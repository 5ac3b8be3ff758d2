"""Sessions that come and go, one after another: what they leave behind in the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from avatar_sdk.local_server import LocalServer

SETTLING: Final = 40
"""Visits before the first look: allocators and thread pools grow to their size."""


@dataclass(frozen=True)
class Visits:
    """The service before and after many sessions.

    Attributes:
        count: sessions that were created, driven to their first frame and ended.
        threads: of the service's process, before and after.
        rss_mib: its memory, before and after.
        free_slots: before and after.
    """

    count: int
    threads: tuple[int, int]
    rss_mib: tuple[float, float]
    free_slots: tuple[int, int]

    def __str__(self) -> str:
        threads, rss, slots = (f"{before} → {after}" for before, after in (self.threads, self.rss_mib, self.free_slots))
        return f"{self.count} sessions came and went: threads {threads}, memory {rss} MiB, free slots {slots}"


async def run_visits(
    server: LocalServer, visit: Callable[[], Awaitable[object]], free_slots: Callable[[], Awaitable[int]], count: int
) -> Visits:
    """Makes `count` visits after some for settling; `visit` is one whole session."""

    async def look() -> tuple[int, float, int]:
        return server.threads(), round(server.resident_bytes() / 2**20, 1), await free_slots()

    for _ in range(SETTLING):
        await visit()
    before = await look()
    for _ in range(count):
        await visit()
    after = await look()
    return Visits(count, *zip(before, after, strict=True))  # type: ignore[arg-type] # three pairs
