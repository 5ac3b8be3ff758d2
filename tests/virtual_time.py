"""An event loop whose clock jumps to whatever comes next: seconds of media pass in no time, and the same each time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Sleeps take no time. Nothing in it may wait for threads or sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        look = self._selector.select  # type: ignore[attr-defined]

        def select(timeout: float | None = None) -> Any:
            assert timeout is not None, "everything waits, and nothing is scheduled"
            self.now_s += timeout
            return look(0)

        self._selector.select = select  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now_s

    def now_us(self) -> int:
        return round(1e6 * self.now_s)


def run_virtually(loop: VirtualLoop, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` to its end and closes the loop."""
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()
