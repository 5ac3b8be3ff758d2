"""Carries the sound of a driver's video over to the avatar's."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from avatar_client.errors import InvalidVideoError

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

COPIED: Final = ("aac", "mp3")
"""Codecs that go into an mp4 as they are; others are encoded as AAC."""
_RATE_HZ: Final = 48_000


class Sound:
    """The first sound track of a file, as packets for an mp4 that is being written."""

    def __init__(self, path: Path, source: InputContainer, start_us: int, target: OutputContainer) -> None:
        self._path = path
        self._source = source
        self._start = Fraction(start_us, 1_000_000)
        stream = source.streams.audio[0]
        self._copies = stream.codec_context.name in COPIED
        if self._copies:
            self._track: Any = target.add_stream_from_template(stream)
            self._packets = self._copied()
        else:
            self._track = target.add_stream("aac", rate=_RATE_HZ, layout="stereo")
            self._packets = self._encoded()
        self._next: tuple[Fraction, Packet[Any]] | None = None

    @classmethod
    def open(cls, path: Path, start_us: int, target: OutputContainer) -> Self | None:
        """The sound from `start_us` on, or None when the file has none; adds a stream to `target`.

        Raises:
            InvalidVideoError: the file cannot be read.
        """
        import av

        try:
            source = av.open(str(path))
        except av.error.FFmpegError as error:
            raise InvalidVideoError(f"{path} cannot be read for its sound: {error.strerror}") from error
        if not source.streams.audio:
            source.close()
            return None
        return cls(path, source, start_us, target)

    def until(self, time_us: int) -> list[Packet[Any]]:
        """The packets not yet given that start before `time_us`, counted from `start_us`. Unit: microseconds."""
        limit = Fraction(time_us, 1_000_000)
        packets: list[Packet[Any]] = []
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None or self._next[0] >= limit:
                return packets
            packets.append(self._next[1])
            self._next = None

    def finish(self) -> list[Packet[Any]]:
        """What the encoder still holds; closes the file."""
        self.close()
        return [] if self._copies else list(self._track.encode(None))

    def close(self) -> None:
        """Closes the file. Idempotent."""
        self._source.close()

    def _copied(self) -> Iterator[tuple[Fraction, Packet[Any]]]:
        stream = self._source.streams.audio[0]
        assert stream.time_base is not None
        shift = round(self._start / stream.time_base)
        for packet in self._read(self._source.demux(stream)):
            if packet.pts is None or packet.dts is None or packet.pts < shift:
                continue
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = self._track
            yield packet.pts * stream.time_base, packet

    def _encoded(self) -> Iterator[tuple[Fraction, Packet[Any]]]:
        import av

        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_RATE_HZ)
        stream = self._source.streams.audio[0]
        for decoded in self._read(self._source.decode(stream)):
            for frame in resampler.resample(decoded):
                if frame.pts is None or frame.time_base is None:
                    continue
                time = frame.pts * frame.time_base - self._start
                if time < 0:
                    continue
                frame.pts, frame.time_base = round(time * _RATE_HZ), Fraction(1, _RATE_HZ)
                for packet in self._track.encode(frame):
                    yield time, packet

    def _read(self, items: Iterator[Any]) -> Iterator[Any]:
        import av

        try:
            yield from items
        except av.error.FFmpegError as error:
            raise InvalidVideoError(f"the sound of {self._path} is damaged: {error.strerror}") from error
