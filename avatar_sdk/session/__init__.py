"""Live avatars: `core` decides what happens when, `live` runs it on threads, `registry` knows every session.

`gate` and `window` are the core's rules for poses in and frames out, `stream` is what one client is told, `values` the
words they share.
"""

from avatar_sdk.session.core import SessionCore
from avatar_sdk.session.live import Change, LiveSession, StageThreads, now_us
from avatar_sdk.session.registry import Entry, Sessions, SessionSettings
from avatar_sdk.session.stream import Farewell, LiveStream, Outgoing, Pong, SentFrame, StreamSettings
from avatar_sdk.session.values import CloseReason, Notice, NoticeKind, SessionLimits, SessionState, StepPlan
from avatar_sdk.session.watcher import WatchedFrame, Watcher

__all__ = [
    "Change",
    "CloseReason",
    "Entry",
    "Farewell",
    "LiveSession",
    "LiveStream",
    "Notice",
    "NoticeKind",
    "Outgoing",
    "Pong",
    "SentFrame",
    "SessionCore",
    "SessionLimits",
    "SessionSettings",
    "SessionState",
    "Sessions",
    "StageThreads",
    "StepPlan",
    "StreamSettings",
    "WatchedFrame",
    "Watcher",
    "now_us",
]
