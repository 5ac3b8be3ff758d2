"""Recorded poses: a versioned header, then one fixed-size record per camera frame, so any pose is one seek away.

| offset | bytes | content, little-endian                                                                 |
|--------|-------|----------------------------------------------------------------------------------------|
| 0      | 8     | magic `89 50 4F 53 45 53 0D 0A` (0x89, "POSES", CR, LF)                                |
| 8      | 2     | uint16 version, 1                                                                      |
| 10     | 2     | uint16 flags: 1 = records have a body part, 2 = a hands part                           |
| 12     | 4     | uint32 bytes of the source's name                                                      |
| 16     | 8     | uint32 width, uint32 height of the camera image, pixels; 0 = unknown                   |
| 24     | 8     | float64 frames per second of the source; 0 = unknown                                   |
| 32     | 8     | uint64 number of records; all ones while recording                                     |
| 40     | …     | the source's name, UTF-8                                                               |
| …      | …     | records: uint64 timestamp_us, float32 face_confidence, uint32 parts (1 face, 2 body,   |
|        |       | 4 hands present), float32 face 478×3, then body 33×4 and hands 2×21×3 where flagged    |
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, overload

import numpy as np
from numpy.typing import NDArray

from avatar_client.errors import InvalidPoseError, InvalidVideoError
from avatar_client.pose import BODY_SHAPE, FACE_SHAPE, HANDS_SHAPE, Pose

MAGIC: Final = b"\x89POSES\r\n"
VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sHHIIIdQ")
_RECORDING: Final = 2**64 - 1
_FLAG_BODY, _FLAG_HANDS = 1, 2
_FACE, _BODY, _HANDS = 1, 2, 4
_MAX_SOURCE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class PoseFileInfo:
    """What a `.poses` file says about where its poses come from.

    Attributes:
        fps: nominal rate of the source; 0 = unknown. The poses' own time stamps count. Unit: frames per second.
        width_px: width of the camera image; 0 = unknown.
        height_px: height of the camera image; 0 = unknown.
        source: name of the camera or clip, for people.
        body: whether poses may have a body.
        hands: whether poses may have hands.
    """

    fps: float = 0.0
    width_px: int = 0
    height_px: int = 0
    source: str = ""
    body: bool = False
    hands: bool = False

    @property
    def record(self) -> np.dtype[Any]:
        """Layout of one record."""
        fields: list[Any] = [("timestamp_us", "<u8"), ("face_confidence", "<f4"), ("parts", "<u4")]
        fields.append(("face", "<f4", FACE_SHAPE))
        if self.body:
            fields.append(("body", "<f4", BODY_SHAPE))
        if self.hands:
            fields.append(("hands", "<f4", HANDS_SHAPE))
        return np.dtype(fields)

    def header(self, records: int) -> bytes:
        """The bytes before the first record."""
        name = self.source.encode()[:_MAX_SOURCE_BYTES].decode(errors="ignore").encode()
        flags = _FLAG_BODY * self.body | _FLAG_HANDS * self.hands
        fixed = _HEADER.pack(MAGIC, VERSION, flags, len(name), self.width_px, self.height_px, self.fps, records)
        return fixed + name


class PoseWriter:
    """Writes poses to a file, one `write` each.

    The recording grows in `PATH.part` and takes its name when it is closed, so a file under the final name is always
    whole, and an older file there stays until then. If the block ends with an error or the process dies, `PATH.part`
    keeps every pose written so far and `PoseReader(..., allow_truncated=True)` reads it.

    >>> with PoseWriter("me.poses", PoseFileInfo(fps=30)) as writer:
    ...     writer.write(pose)
    """

    def __init__(self, path: str | os.PathLike[str], info: PoseFileInfo | None = None) -> None:
        """Starts the file.

        Raises:
            InvalidVideoError: the folder is missing or cannot be written.
        """
        self.path = Path(path)
        self.info = info or PoseFileInfo()
        self.part = self.path.with_name(self.path.name + ".part")
        self._record = np.zeros((), self.info.record)
        self._count = 0
        self._last_us = -1
        try:
            self._file = self.part.open("wb")
        except OSError as error:
            raise InvalidVideoError(
                f"{self.part} cannot be written: {error.strerror}; choose another folder"
            ) from error
        self._file.write(self.info.header(_RECORDING))

    def __len__(self) -> int:
        """Poses written so far."""
        return self._count

    def write(self, pose: Pose) -> None:
        """Appends one pose.

        Raises:
            InvalidPoseError: its time does not increase, or it has a part this file has no room for.
        """
        if pose.timestamp_us <= self._last_us:
            raise InvalidPoseError(
                f"pose {self._count} is at {pose.timestamp_us} µs, after {self._last_us} µs; time must increase",
                field="pose.timestamp_us",
            )
        record = self._record
        parts = _FACE if pose.face_present else 0
        for name, values, bit in (("body", pose.body, _BODY), ("hands", pose.hands, _HANDS)):
            if values is not None:
                if not getattr(self.info, name):
                    raise InvalidPoseError(
                        f"the pose has {name}, but {self.path.name} was opened without; open it with "
                        f"PoseFileInfo({name}=True)",
                        field=f"pose.{name}",
                    )
                record[name] = values
                parts |= bit
            elif getattr(self.info, name):
                record[name] = 0
        record["timestamp_us"] = pose.timestamp_us
        record["face_confidence"] = pose.face_confidence
        record["face"] = pose.face
        record["parts"] = parts
        self._file.write(record.tobytes())
        self._file.flush()  # a killed process loses nothing
        self._last_us = pose.timestamp_us
        self._count += 1

    def close(self) -> None:
        """Completes the file and gives it its name. Idempotent."""
        if self._file.closed:
            return
        self._file.seek(0)
        self._file.write(self.info.header(self._count))
        self._file.close()
        self.part.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif not self._file.closed:
            self._file.close()
            error.add_note(f"the {self._count} poses written so far are in {self.part}")


class PoseReader(Sequence[Pose]):
    """The poses of a file, in order; any of them by its index. The file is mapped, not loaded."""

    def __init__(self, path: str | os.PathLike[str], *, allow_truncated: bool = False) -> None:
        """Opens and checks the file; `allow_truncated` accepts the whole records of a broken-off recording.

        Raises:
            InvalidVideoError: it is missing, no `.poses` file, of another version, or broken off, naming the record.
        """
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self.info, start, promised = _read_header(self.path, file.read(_HEADER.size + _MAX_SOURCE_BYTES))
        except OSError as error:
            raise InvalidVideoError(f"{self.path} cannot be read: {error.strerror}") from error
        record = self.info.record
        whole, rest = divmod(size - start, record.itemsize)
        if not allow_truncated and (rest or promised not in (whole, _RECORDING)):
            of = "" if promised == _RECORDING else f" of {promised}"
            raise InvalidVideoError(
                f"{self.path} breaks off in record {whole}{of}: {rest} of {record.itemsize} bytes are there; "
                f"allow_truncated=True reads the {whole} whole ones before it"
            )
        self._records: NDArray[np.void] = (
            np.memmap(self.path, record, "r", offset=start, shape=(whole,)) if whole else np.zeros(0, record)
        )

    def __len__(self) -> int:
        return len(self._records)

    @property
    def timestamps_us(self) -> NDArray[np.int64]:
        """(N,) int64, the source's own times. Unit: microseconds."""
        return self._records["timestamp_us"].astype(np.int64)

    @overload
    def __getitem__(self, index: int) -> Pose: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pose]: ...
    def __getitem__(self, index: int | slice) -> Pose | list[Pose]:
        """One pose, or a list of them.

        Raises:
            IndexError: there is no such pose.
            InvalidVideoError: the record holds no usable pose; the message names it.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        record = self._records[index]
        parts = int(record["parts"])
        try:
            return Pose(
                timestamp_us=int(record["timestamp_us"]),
                face=np.array(record["face"], np.float32),
                face_present=bool(parts & _FACE),
                face_confidence=float(record["face_confidence"]),
                body=np.array(record["body"], np.float32) if self.info.body and parts & _BODY else None,
                hands=np.array(record["hands"], np.float32) if self.info.hands and parts & _HANDS else None,
            )
        except InvalidPoseError as error:
            raise InvalidVideoError(f"record {index} of {self.path} is damaged: {error.message}") from error

    def __iter__(self) -> Iterator[Pose]:
        return (self[index] for index in range(len(self)))


def _read_header(path: Path, head: bytes) -> tuple[PoseFileInfo, int, int]:
    if head[: len(MAGIC)] != MAGIC:
        raise InvalidVideoError(
            f"{path} is no .poses file: it starts with {head[:8]!r}; `avatar track` makes one from a video"
        )
    if len(head) < _HEADER.size:
        raise InvalidVideoError(f"{path} breaks off in its header, at byte {len(head)} of {_HEADER.size}")
    _, version, flags, name_bytes, width_px, height_px, fps, records = _HEADER.unpack_from(head)
    if version != VERSION:
        raise InvalidVideoError(
            f"{path} is version {version}; this release reads version {VERSION}, so update avatar-client"
        )
    start = _HEADER.size + name_bytes
    if name_bytes > _MAX_SOURCE_BYTES or len(head) < start:
        raise InvalidVideoError(f"{path} breaks off in its header, at byte {len(head)} of {start}")
    info = PoseFileInfo(
        fps=fps,
        width_px=width_px,
        height_px=height_px,
        source=head[_HEADER.size : start].decode(errors="replace"),
        body=bool(flags & _FLAG_BODY),
        hands=bool(flags & _FLAG_HANDS),
    )
    return info, start, records
