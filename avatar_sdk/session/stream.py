"""One stream's side of a session: what waits to be written, and never more than the client reads."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from avatar_client.errors import AvatarError

from avatar_sdk.encode import EncodedFrame, Encoder, Encoding
from avatar_sdk.motion import MotionSource
from avatar_sdk.session.core import SessionCore
from avatar_sdk.session.values import Notice, SessionState, StepPlan
from avatar_sdk.session.window import MOST


@dataclass(frozen=True)
class StreamSettings:
    """What one stream asks for; 0 = the default."""

    encoding: Encoding = Encoding.JPEG
    quality: int = 0
    bit_rate: int = 0
    max_in_flight: int = 0
    badge: bool = True


@dataclass(frozen=True, eq=False)
class SentFrame:
    """One frame on its way to the client.

    Attributes:
        plan: the step it came from.
        encoded: its bytes.
        encoding: of the bytes.
        source: what drove it.
        width_px, height_px: its size.
        timings_us: stage → time spent, with "queue" and "encode".
        poses_dropped, frames_dropped: since the session began.
    """

    plan: StepPlan
    encoded: EncodedFrame
    encoding: Encoding
    source: MotionSource
    width_px: int
    height_px: int
    timings_us: dict[str, int]
    poses_dropped: int
    frames_dropped: int


@dataclass(frozen=True)
class Pong:
    """Answers a ping. `timestamp_us` is the ping's, on the client's clock."""

    timestamp_us: int


@dataclass(frozen=True)
class Farewell:
    """The service shuts down. `grace_s` is how long the stream may go on. Unit: seconds."""

    grace_s: float


Outgoing = SentFrame | Notice | SessionState | Pong | Farewell
"""What a stream writes between its first and last message; a state is written when it changes."""


class LiveStream:
    """What a session says to one client.

    Nothing piles up: the acknowledgement window bounds frames, the core bounds notices, only the newest pong waits.
    """

    def __init__(self, core: SessionCore, encoder: Encoder) -> None:
        self.encoder = encoder
        self._core = core
        self._told = core.state
        self._frames: deque[SentFrame] = deque(maxlen=MOST)  # for clients that acknowledge what they have not got
        self._pong: Pong | None = None
        self._farewell: Farewell | None = None
        self._ended = False
        self._failure: AvatarError | None = None
        self._wake = asyncio.Event()

    def put_frame(self, frame: SentFrame) -> None:
        """A frame goes out next."""
        self._frames.append(frame)
        self._wake.set()

    def put_pong(self, timestamp_us: int) -> None:
        """Answers the newest ping."""
        self._pong = Pong(timestamp_us)
        self._wake.set()

    def put_farewell(self, grace_s: float) -> None:
        """Asks the client to leave."""
        self._farewell = Farewell(grace_s)
        self._wake.set()

    def wake(self) -> None:
        """The core may have something to say."""
        self._wake.set()

    def end(self, failure: AvatarError | None = None) -> None:
        """Nothing more is said; `failure` is raised from `next`."""
        self._failure = self._failure or failure
        self._ended = True
        self._wake.set()

    async def next(self) -> Outgoing | None:
        """What to write next; None at the end.

        Raises:
            AvatarError: why the stream broke.
        """
        while True:
            self._wake.clear()
            if self._failure is not None:
                raise self._failure
            outgoing = self._take()
            if outgoing is not None or self._ended:
                return outgoing
            await self._wake.wait()

    def _take(self) -> Outgoing | None:
        farewell, self._farewell = self._farewell, None
        if farewell is not None:
            return farewell
        pong, self._pong = self._pong, None
        if pong is not None:
            return pong
        state = self._core.state
        if state is not self._told and state not in (SessionState.CLOSED, SessionState.RECONNECTING):
            self._told = state
            return state
        return self._core.take_notice() or (self._frames.popleft() if self._frames else None)
