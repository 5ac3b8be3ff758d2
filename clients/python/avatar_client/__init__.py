"""The light client of avatar-sdk: poses in, avatar frames out.

Importing this package loads nothing heavy: gRPC, numpy, MediaPipe, OpenCV and PyAV come with the names that need them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from avatar_client._version import __version__

if TYPE_CHECKING:
    from avatar_client.backoff import ReconnectConfig
    from avatar_client.capture import Camera, CaptureConfig, FrameSource, list_cameras, open_source
    from avatar_client.client import AvatarClient, ServerInfo
    from avatar_client.controls import PortraitInfo, SessionInfo
    from avatar_client.errors import AvatarError
    from avatar_client.events import CloseReason, EventKind, SessionEvent, SessionState
    from avatar_client.frame import Frame, MotionSource, Timings
    from avatar_client.options import Gains, SessionOptions
    from avatar_client.pose import Pose
    from avatar_client.pose_file import PoseFileInfo, PoseReader, PoseWriter
    from avatar_client.session import AvatarSession
    from avatar_client.statistics import Percentiles, SessionStatistics
    from avatar_client.sync import SyncAvatarClient, SyncAvatarSession, connect
    from avatar_client.tracking import PoseTracker, TrackerConfig
    from avatar_client.transport import TlsConfig

__all__ = [
    "AvatarClient",
    "AvatarError",
    "AvatarSession",
    "Camera",
    "CaptureConfig",
    "CloseReason",
    "EventKind",
    "Frame",
    "FrameSource",
    "Gains",
    "MotionSource",
    "Percentiles",
    "PortraitInfo",
    "Pose",
    "PoseFileInfo",
    "PoseReader",
    "PoseTracker",
    "PoseWriter",
    "ReconnectConfig",
    "ServerInfo",
    "SessionEvent",
    "SessionInfo",
    "SessionOptions",
    "SessionState",
    "SessionStatistics",
    "SyncAvatarClient",
    "SyncAvatarSession",
    "Timings",
    "TlsConfig",
    "TrackerConfig",
    "__version__",
    "connect",
    "list_cameras",
    "open_source",
]

_HOMES = {
    "backoff": ("ReconnectConfig",),
    "capture": ("Camera", "CaptureConfig", "FrameSource", "list_cameras", "open_source"),
    "client": ("AvatarClient", "ServerInfo"),
    "controls": ("PortraitInfo", "SessionInfo"),
    "errors": ("AvatarError",),
    "events": ("CloseReason", "EventKind", "SessionEvent", "SessionState"),
    "frame": ("Frame", "MotionSource", "Timings"),
    "options": ("Gains", "SessionOptions"),
    "pose": ("Pose",),
    "pose_file": ("PoseFileInfo", "PoseReader", "PoseWriter"),
    "session": ("AvatarSession",),
    "statistics": ("Percentiles", "SessionStatistics"),
    "sync": ("SyncAvatarClient", "SyncAvatarSession", "connect"),
    "tracking": ("PoseTracker", "TrackerConfig"),
    "transport": ("TlsConfig",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'avatar_client' has no attribute {name!r}")
    return getattr(import_module(f"avatar_client.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
