"""A crowd at a web port, to see what it costs the sessions there: a program of its own, so that it shares no lock.

python -m avatar_sdk.bench.storm 127.0.0.1 8080 1000 5
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

STAY_S: Final = 0.5
"""How long a visitor stays who is not shown the door before."""

_UPGRADE: Final = (
    "GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: avatar.v1\r\n{more}\r\n"
)
_KINDS: Final = {
    "silent": "",
    "half a request": "GET / HTTP/1.1\r\nHost: {host}",
    "a socket that never begins": _UPGRADE,
    "a site that may not": _UPGRADE.replace("{more}", "Origin: https://evil.example\r\n{more}"),
    "no HTTP": "\x16\x03\x01\x02\r\n\r\n",
}


@dataclass(frozen=True)
class Storm:
    """How a crowd fared.

    Attributes:
        visits: connections that were begun.
        rate_hz: of them, a second.
        ends: how they ended → count: "answered", "cut" unread or mid-way, "waited" as long as they stayed.
    """

    visits: int
    rate_hz: float
    ends: dict[str, int]


async def storm(host: str, port: int, rate_hz: float, seconds: float) -> Storm:
    """Begins `rate_hz` connections a second: silent, half, never beginning, from other sites, and no HTTP at all."""
    kinds = _kinds(f"{host}:{port}")
    ends: Counter[str] = Counter()
    visits: set[asyncio.Task[None]] = set()
    start, count = time.monotonic(), 0
    while (now := time.monotonic()) < start + seconds:
        while count < (now - start) * rate_hz:
            visit = asyncio.create_task(_visit(host, port, next(kinds), ends))
            visits.add(visit)
            visit.add_done_callback(visits.discard)
            count += 1
        await asyncio.sleep(0.002)
    spent_s = time.monotonic() - start
    await asyncio.gather(*visits)
    return Storm(count, round(count / spent_s, 1), dict(ends))


def _kinds(host: str) -> Iterator[bytes]:
    return itertools.cycle([words.format(host=host, more="").encode("latin-1") for words in _KINDS.values()])


async def _visit(host: str, port: int, words: bytes, ends: Counter[str]) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as visitor:
        visitor.setblocking(False)
        try:
            async with asyncio.timeout(STAY_S):
                await loop.sock_connect(visitor, (host, port))
                await loop.sock_sendall(visitor, words)
                answered = False
                while await loop.sock_recv(visitor, 4096):
                    answered = True
                ends["answered" if answered else "cut"] += 1
        except TimeoutError:
            ends["waited"] += 1
        except OSError:
            ends["cut"] += 1


if __name__ == "__main__":
    _host, _port, _rate, _seconds = sys.argv[1:]
    sys.stdout.write(json.dumps(asdict(asyncio.run(storm(_host, int(_port), float(_rate), float(_seconds))))) + "\n")
