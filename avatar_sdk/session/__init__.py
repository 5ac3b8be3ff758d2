"""Live avatars: `core` decides what happens when, `live` runs it on threads, `registry` knows every session."""

from avatar_sdk.session.core import CloseReason, Notice, NoticeKind, SessionCore, SessionLimits, SessionState, StepPlan
from avatar_sdk.session.live import LiveSession, SentFrame, StageThreads, StreamSettings
from avatar_sdk.session.registry import Sessions

__all__ = [
    "CloseReason",
    "LiveSession",
    "Notice",
    "NoticeKind",
    "SentFrame",
    "SessionCore",
    "SessionLimits",
    "SessionState",
    "Sessions",
    "StageThreads",
    "StepPlan",
    "StreamSettings",
]
