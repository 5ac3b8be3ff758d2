"""The driver's voice, held back until the avatar's lips move."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, AudioResampler

from avatar_sdk.session import now_us
from avatar_sdk.webrtc.delay import CHANNELS, RATE_HZ, DelayLine, Samples

TIME_BASE: Final = Fraction(1, RATE_HZ)
WAITING: Final = 10
"""Blocks of 20 ms that may wait for one listener; older ones are dropped."""
BREAK_US: Final = 100_000
"""Sound that is later than this after a gap starts a new count of time."""


class DelayedAudioTrack(MediaStreamTrack):
    """One listener's copy of the delayed sound: 48 kHz stereo, time stamps in 1/48000 s."""

    kind = "audio"

    def __init__(self, on_stop: Callable[[DelayedAudioTrack], None]) -> None:
        super().__init__()
        self._blocks: deque[Samples] = deque(maxlen=WAITING)
        self._filled = asyncio.Event()
        self._on_stop = on_stop
        self._origin_us: int | None = None
        self._pts = 0

    def put(self, block: Samples) -> None:
        """Hands over (N, 2) int16 samples that are to be heard now."""
        self._blocks.append(block)
        self._filled.set()

    async def recv(self) -> AudioFrame:
        """The next block; waits as long as nobody speaks into the session.

        Raises:
            MediaStreamError: the track was stopped.
        """
        while self.readyState == "live" and not self._blocks:
            self._filled.clear()
            await self._filled.wait()
        if self.readyState != "live":
            raise MediaStreamError
        block, now = self._blocks.popleft(), now_us()
        if self._origin_us is None:
            self._origin_us = now
        passed = (now - self._origin_us) * RATE_HZ // 1_000_000
        if passed - self._pts > BREAK_US * RATE_HZ // 1_000_000:
            self._pts = passed
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._pts, TIME_BASE
        self._pts += len(block)
        return frame

    def stop(self) -> None:
        """Ends this listener's track. Idempotent."""
        if self.readyState == "live":
            super().stop()
            self._filled.set()
            self._on_stop(self)


class SessionSound:
    """The sound of one session: what comes in goes through the delay and out to every listener.

    What comes in is taken whether anybody listens or not, for aiortc would pile it up.
    """

    def __init__(self, delay_s: Callable[[], float]) -> None:
        """`delay_s` says how long sound is to be held back now. Unit: seconds."""
        self._delay_s = delay_s
        self._line: DelayLine | None = None
        self._listeners: list[DelayedAudioTrack] = []
        self._source: asyncio.Task[None] | None = None

    @property
    def delay_ms(self) -> float | None:
        """The delay that is in effect; None before the first sound. Unit: milliseconds."""
        return None if self._line is None else 1000 * self._line.delay_s

    def listen(self) -> DelayedAudioTrack:
        """A track of the delayed sound."""
        track = DelayedAudioTrack(self._listeners.remove)
        self._listeners.append(track)
        return track

    def speak(self, track: MediaStreamTrack) -> None:
        """Takes the sound from `track` from now on; an earlier source is given up."""
        self.silence()
        self._source = asyncio.create_task(self._run(track), name="sound")

    def silence(self) -> None:
        """Takes no more sound; listeners wait. Idempotent."""
        if self._source is not None:
            self._source.cancel()
            self._source = None

    def close(self) -> None:
        """Takes no more sound, and ends every listener's track."""
        self.silence()
        for listener in list(self._listeners):
            listener.stop()

    async def _run(self, track: MediaStreamTrack) -> None:
        resampler = AudioResampler(format="s16", layout="stereo", rate=RATE_HZ)
        with contextlib.suppress(MediaStreamError):
            while True:
                given = await track.recv()
                assert isinstance(given, AudioFrame)
                for frame in resampler.resample(given):
                    block: Samples = frame.to_ndarray().astype(np.int16, copy=False)
                    self._pass_on(block.reshape(-1, CHANNELS))

    def _pass_on(self, block: Samples) -> None:
        delay_s = self._delay_s()
        if self._line is None:
            self._line = DelayLine(delay_s)
        block = self._line.push(block, delay_s)
        for listener in self._listeners:
            listener.put(block)
