"""What a program can ask of and tell a live session at any time, from any thread, without waiting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import ConnectionLostError, InvalidInputError
from avatar_client.events import CloseReason, SessionState
from avatar_client.frame import Frame, Image
from avatar_client.link import CameraPicture, SessionLink
from avatar_client.options import Gains, Neutral, neutral_mode
from avatar_client.pose import Pose
from avatar_client.runner import SessionRunner
from avatar_client.statistics import SessionStatistics

CAMERA_QUALITY: Final = 80


@dataclass(frozen=True, slots=True, eq=False)
class PortraitInfo:
    """What the server made of a photo.

    Attributes:
        faces: faces found; the largest is used.
        affine: (2, 3) float32, photo pixels → output pixels.
    """

    faces: int
    affine: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The session on the server; a restart after a break makes a new one.

    Attributes:
        id: its name there.
        width_px: width of the frames.
        height_px: height of the frames.
        fps: rate of the frame clock. Unit: frames per second.
        idle_timeout_s: without a pose for this long it closes.
        max_duration_s: the longest it lives.
        resume_window_s: how long its slot is kept after a break.
        max_pose_rate_hz: poses beyond this rate are dropped.
    """

    id: str
    width_px: int
    height_px: int
    fps: float
    idle_timeout_s: float
    max_duration_s: float
    resume_window_s: float
    max_pose_rate_hz: float


class SessionControls(ABC):
    """The part that asynchronous and blocking sessions share."""

    _link: SessionLink
    _runner: SessionRunner

    @abstractmethod
    def _wake(self) -> None:
        """There is something to send."""

    @abstractmethod
    def _ended(self) -> bool:
        """Whether the session is over; raises what broke it."""

    @property
    def info(self) -> SessionInfo:
        """The session on the server.

        Raises:
            ConnectionLostError: there is none at the moment.
        """
        created = self._created()
        limits = created.limits
        return SessionInfo(
            id=created.session_id,
            width_px=created.width_px,
            height_px=created.height_px,
            fps=self._link.fps,
            idle_timeout_s=limits.idle_timeout_s,
            max_duration_s=limits.max_duration_s,
            resume_window_s=limits.resume_window_s,
            max_pose_rate_hz=limits.max_pose_rate_hz,
        )

    @property
    def portrait(self) -> PortraitInfo:
        """What the server made of the photo in use."""
        created = self._created()
        return portrait_info(created.faces, created.affine)

    @property
    def state(self) -> SessionState:
        """Where the session stands."""
        return self._link.state

    @property
    def close_reason(self) -> CloseReason:
        """Why it ended; UNSPECIFIED while it lives."""
        return self._link.close_reason

    @property
    def statistics(self) -> SessionStatistics:
        """Live figures: rates, latencies, drops by cause."""
        return self._link.statistics()

    def send_pose(self, pose: Pose) -> bool:
        """Hands over the newest pose and returns at once; from any thread.

        Returns False when it replaced a pose that could not be sent in time, or the session has ended.

        Raises:
            AvatarError: the session broke and could not be taken up again.
        """
        if self._ended():
            return False
        fresh = self._link.put_pose(pose)
        self._wake()
        return fresh

    def send_camera(self, image: Image, timestamp_us: int) -> bool:
        """Hands over the newest picture of the driver, for the server to find the pose in; from any thread.

        For programs that cannot track: `send_pose` sends 6 KB instead of a picture, and nothing of the face. The server
        must allow it (by default only to clients on its own machine).

        Args:
            image: (H, W, 3) uint8 RGB in [0, 255], unmirrored; at most 1280 pixels a side, 640×480 is plenty.
            timestamp_us: when it was taken, on this machine's monotonic clock. Unit: microseconds.

        Returns False when it replaced a picture that could not be sent in time, or the session has ended.

        Raises:
            InvalidInputError: the image has another type or shape.
            AvatarError: the session broke and could not be taken up again.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InvalidInputError(
                f"the image is {image.dtype}{list(image.shape)}; it must be uint8[height, width, 3] RGB"
            )
        if self._ended():
            return False
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(image), CAMERA_QUALITY, colorsubsampling="420")
        fresh = self._link.put_pose(CameraPicture(jpeg, timestamp_us))
        self._wake()
        return fresh

    def latest(self) -> Frame | None:
        """The newest frame that was not taken yet, or None; from any thread.

        Raises:
            AvatarError: the session broke and could not be taken up again.
        """
        frame = self._link.take_frame()
        if frame is not None:
            self._wake()
        else:
            self._ended()
        return frame

    def calibrate(self) -> None:
        """Takes the driver's neutral pose from the next second of poses; a CALIBRATED event follows."""
        self._change(pb.Control(calibrate=True))

    def set_gains(self, gains: Gains) -> None:
        """Changes how strongly the motion is followed."""
        self._change(pb.Control(gains=gains.to_proto()))

    def set_smoothing(self, smoothing: bool) -> None:
        """Switches the jitter filter."""
        self._change(pb.Control(smoothing=smoothing))

    def set_badge(self, badge: bool) -> None:
        """Switches the "AI" badge; the server may insist on it."""
        self._change(pb.Control(badge=badge))

    def set_neutral(self, neutral: Neutral) -> None:
        """Changes which pose counts as neutral."""
        self._change(pb.Control(neutral=neutral_mode(neutral)))

    def set_paused(self, paused: bool) -> None:
        """Stops or continues generating."""
        self._change(pb.Control(paused=paused))

    def _created(self) -> pb.CreateSessionResponse:
        if self._runner.created is None:
            raise ConnectionLostError("there is no session on the server at the moment; wait for the READY state")
        return self._runner.created

    def _change(self, control: pb.Control) -> None:
        self._link.change(control)
        self._wake()


def portrait_info(faces: int, affine: object) -> PortraitInfo:
    """From the values of a message."""
    return PortraitInfo(faces, np.array(affine, np.float32).reshape(-1, 3))
