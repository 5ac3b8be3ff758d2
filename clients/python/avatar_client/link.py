"""One session's conversation without the network: what to say next, and what an answer means.

Every queue has one slot and the newest wins, so nothing can pile up: the pose to send, the frame to show, one merged
change, one acknowledgement. All methods may be called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.events import CloseReason, EventKind, SessionEvent, SessionState
from avatar_client.frame import Frame, H264Decoder, frame_from_proto
from avatar_client.pose import Pose
from avatar_client.statistics import SessionStatistics, StatisticsRecorder
from avatar_client.wire import pose_to_proto

_STATES: Final = {
    pb.SESSION_STATE_READY: SessionState.READY,
    pb.SESSION_STATE_GENERATING: SessionState.GENERATING,
    pb.SESSION_STATE_FACE_LOST: SessionState.FACE_LOST,
    pb.SESSION_STATE_RECONNECTING: SessionState.RECONNECTING,
    pb.SESSION_STATE_CLOSED: SessionState.CLOSED,
}


@dataclass(frozen=True, slots=True)
class GoAway:
    """The server's wish that the client leaves.

    Attributes:
        stop: end the session rather than open a new one.
        endpoint: where to go; "" = the same address.
        grace_s: the stream is cut after this. Unit: seconds.
    """

    stop: bool
    endpoint: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class CameraPicture:
    """A picture of the driver that the server shall find the pose in.

    Attributes:
        jpeg: the file.
        timestamp_us: when it was taken, on the client's monotonic clock.
    """

    jpeg: bytes
    timestamp_us: int


class SessionLink:
    """What is known and what is to be said; `clock` gives monotonic microseconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.state = SessionState.CONNECTING
        self.close_reason = CloseReason.UNSPECIFIED
        self.go_away: GoAway | None = None
        self.fps = 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._statistics = StatisticsRecorder()
        self._config: pb.StreamConfig | None = None
        self._ready = False
        self._pose: Pose | CameraPicture | None = None
        self._pose_seq = 0
        self._frame: tuple[pb.Frame, int] | None = None
        self._ack = 0
        self._decoder: H264Decoder | None = None
        self._change: pb.Control | None = None
        self._standing = pb.Control()
        self._ping = False

    # What the program wants

    def put_pose(self, pose: Pose | CameraPicture) -> bool:
        """Takes over the newest pose, or picture of one; False when it replaced one that was not sent yet."""
        with self._lock:
            superseded = self._pose is not None
            self._statistics.poses_superseded += superseded
            self._pose = pose
            return not superseded

    def change(self, control: pb.Control) -> None:
        """Merges a change into the one waiting; later fields win."""
        with self._lock:
            self._change = self._change or pb.Control()
            self._change.MergeFrom(control)
            self._standing.MergeFrom(control)

    def take_frame(self) -> Frame | None:
        """The newest frame, once; taking it is what acknowledges it."""
        with self._lock:
            if self._frame is None:
                return None
            (message, received_us), self._frame = self._frame, None
            now_us = self._clock()
            frame = frame_from_proto(message, received_us=received_us, taken_us=now_us, decoder=self._decoder)
            self._ack = message.seq
            self._statistics.shown(now_us, frame.camera_to_display_us)
            return frame

    @property
    def has_frame(self) -> bool:
        """Whether `take_frame` would give one."""
        return self._frame is not None

    def statistics(self) -> SessionStatistics:
        """The figures now."""
        with self._lock:
            return self._statistics.snapshot(self._clock())

    # What the network does

    def new_session(self) -> None:
        """The next stream opens a session that counts from 1 and knows of no change made so far."""
        with self._lock:
            self._pose_seq = 0
            self._statistics.session_changed()
            again = pb.Control()
            again.CopyFrom(self._standing)
            again.ClearField("calibrate")
            again.MergeFrom(self._change or pb.Control())
            self._change = again if again.ListFields() else None

    def begin(self, config: pb.StreamConfig) -> None:
        """A stream opens: `config` is its first message."""
        with self._lock:
            self._config, self._ready, self._ping = config, False, False
            self._ack, self._frame, self.go_away = 0, None, None
            self._decoder = H264Decoder() if config.encoding == pb.ENCODING_H264 else None

    def lost(self) -> None:
        """The stream is gone: what waits for it would be stale on the next one."""
        with self._lock:
            self._statistics.poses_superseded += self._pose is not None
            self._pose, self._ready, self._ping = None, False, False

    def reconnected(self) -> None:
        """A stream was taken up again."""
        with self._lock:
            self._statistics.reconnects += 1

    def request_ping(self) -> None:
        """The next thing said includes a ping."""
        with self._lock:
            self._ping = self._ready

    def next_request(self) -> pb.StreamRequest | None:
        """What to send now; None = nothing. Before the server is ready only the configuration goes out."""
        with self._lock:
            if self._config is not None:
                config, self._config = self._config, None
                return pb.StreamRequest(config=config)
            if not self._ready:
                return None
            if self._change is not None:
                change, self._change = self._change, None
                return pb.StreamRequest(control=change)
            if self._ack:
                seq, self._ack = self._ack, 0
                return pb.StreamRequest(ack=pb.Ack(frame_seq=seq))
            if self._pose is not None:
                pose, self._pose = self._pose, None
                self._pose_seq += 1
                self._statistics.poses_sent += 1
                if isinstance(pose, CameraPicture):
                    picture = pb.CameraFrame(seq=self._pose_seq, timestamp_us=pose.timestamp_us, image=pose.jpeg)
                    return pb.StreamRequest(camera=picture)
                return pb.StreamRequest(pose=pose_to_proto(pose, self._pose_seq))
            if self._ping:
                self._ping = False
                ping = pb.Ping(timestamp_us=self._clock(), rtt_us=self._statistics.round_trip_us)
                return pb.StreamRequest(ping=ping)
            return None

    def receive(self, response: pb.StreamResponse) -> SessionEvent | None:
        """Takes in one message; what the program should hear of comes back."""
        with self._lock:
            match response.WhichOneof("message"):
                case "frame":
                    return self._receive_frame(response.frame)
                case "pong":
                    self._statistics.round_trip_us = max(1, self._clock() - response.pong.timestamp_us)
                case "ready":
                    self._ready, self._ping = True, True
                    self.fps = response.ready.fps
                    return self._enter(_STATES.get(response.ready.state, SessionState.READY))
                case "status":
                    reason = pb.CloseReason.Name(response.status.reason) if response.status.reason in _REASONS else ""
                    if response.status.state == pb.SESSION_STATE_CLOSED:
                        self.close_reason = CloseReason(reason.removeprefix("CLOSE_REASON_").lower() or "unspecified")
                        return None
                    return self._enter(_STATES.get(response.status.state, self.state))
                case "event":
                    return _event(response.event)
                case "go_away":
                    told = response.go_away
                    stop = told.action == pb.GO_AWAY_ACTION_CLOSE
                    self.go_away = GoAway(stop, "" if stop else told.endpoint, told.grace_s)
                    wish = "stop" if self.go_away.stop else f"go to {told.endpoint or 'a new session here'}"
                    return SessionEvent(
                        EventKind.GO_AWAY, f"the server leaves in {told.grace_s:g} s and asks to {wish}"
                    )
            return None

    def enter(self, state: SessionState) -> SessionEvent | None:
        """Changes the state; the event tells of it, None when it was that already."""
        with self._lock:
            return self._enter(state)

    def _enter(self, state: SessionState) -> SessionEvent | None:
        if state is self.state:
            return None
        self.state = state
        return SessionEvent(EventKind.STATE_CHANGED, state.value)

    def _receive_frame(self, frame: pb.Frame) -> SessionEvent | None:
        now_us = self._clock()
        fresh = frame.source == pb.MOTION_SOURCE_POSE
        self._statistics.received(
            now_us, frame.timings.pose_to_frame_us if fresh else None, frame.poses_dropped, frame.frames_dropped
        )
        self._statistics.frames_superseded += self._frame is not None
        if self._decoder is not None:
            self._decoder.push(frame.seq, frame.data, key=frame.key)
        self._frame = (frame, now_us)
        return None


_REASONS: Final = frozenset(pb.CloseReason.values())
_KINDS: Final = frozenset(kind.value for kind in EventKind)


def _event(message: pb.Event) -> SessionEvent:
    if message.kind not in pb.EventKind.values():
        return SessionEvent(EventKind.UNKNOWN, message.message)
    name = pb.EventKind.Name(message.kind).removeprefix("EVENT_KIND_").lower()
    return SessionEvent(EventKind(name) if name in _KINDS else EventKind.UNKNOWN, message.message)
