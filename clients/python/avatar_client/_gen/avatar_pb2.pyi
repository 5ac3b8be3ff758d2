from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    ENCODING_JPEG: _ClassVar[Encoding]
    ENCODING_H264: _ClassVar[Encoding]
    ENCODING_RGB: _ClassVar[Encoding]

class Framing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FRAMING_UNSPECIFIED: _ClassVar[Framing]
    FRAMING_FACE: _ClassVar[Framing]
    FRAMING_BUST: _ClassVar[Framing]

class BackgroundKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BACKGROUND_KIND_UNSPECIFIED: _ClassVar[BackgroundKind]
    BACKGROUND_KIND_KEEP: _ClassVar[BackgroundKind]
    BACKGROUND_KIND_BLUR: _ClassVar[BackgroundKind]
    BACKGROUND_KIND_COLOR: _ClassVar[BackgroundKind]
    BACKGROUND_KIND_IMAGE: _ClassVar[BackgroundKind]

class NeutralMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NEUTRAL_MODE_UNSPECIFIED: _ClassVar[NeutralMode]
    NEUTRAL_MODE_AUTO: _ClassVar[NeutralMode]
    NEUTRAL_MODE_FIRST: _ClassVar[NeutralMode]
    NEUTRAL_MODE_ABSOLUTE: _ClassVar[NeutralMode]

class SessionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATE_UNSPECIFIED: _ClassVar[SessionState]
    SESSION_STATE_READY: _ClassVar[SessionState]
    SESSION_STATE_GENERATING: _ClassVar[SessionState]
    SESSION_STATE_FACE_LOST: _ClassVar[SessionState]
    SESSION_STATE_RECONNECTING: _ClassVar[SessionState]
    SESSION_STATE_CLOSED: _ClassVar[SessionState]

class CloseReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLOSE_REASON_UNSPECIFIED: _ClassVar[CloseReason]
    CLOSE_REASON_CLIENT: _ClassVar[CloseReason]
    CLOSE_REASON_IDLE: _ClassVar[CloseReason]
    CLOSE_REASON_MAX_DURATION: _ClassVar[CloseReason]
    CLOSE_REASON_RESUME_WINDOW: _ClassVar[CloseReason]
    CLOSE_REASON_DRAIN: _ClassVar[CloseReason]
    CLOSE_REASON_STATE_LOST: _ClassVar[CloseReason]

class GoAwayAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GO_AWAY_ACTION_UNSPECIFIED: _ClassVar[GoAwayAction]
    GO_AWAY_ACTION_RECONNECT: _ClassVar[GoAwayAction]
    GO_AWAY_ACTION_CLOSE: _ClassVar[GoAwayAction]

class MotionSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOTION_SOURCE_UNSPECIFIED: _ClassVar[MotionSource]
    MOTION_SOURCE_POSE: _ClassVar[MotionSource]
    MOTION_SOURCE_HELD: _ClassVar[MotionSource]
    MOTION_SOURCE_IDLE: _ClassVar[MotionSource]

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_FACE_LOST: _ClassVar[EventKind]
    EVENT_KIND_FACE_FOUND: _ClassVar[EventKind]
    EVENT_KIND_CALIBRATED: _ClassVar[EventKind]
    EVENT_KIND_POSE_REJECTED: _ClassVar[EventKind]
    EVENT_KIND_PORTRAIT_CHANGED: _ClassVar[EventKind]
    EVENT_KIND_SEVERAL_FACES: _ClassVar[EventKind]
    EVENT_KIND_READER_STALLED: _ClassVar[EventKind]
    EVENT_KIND_IGNORED_UNKNOWN: _ClassVar[EventKind]
ENCODING_UNSPECIFIED: Encoding
ENCODING_JPEG: Encoding
ENCODING_H264: Encoding
ENCODING_RGB: Encoding
FRAMING_UNSPECIFIED: Framing
FRAMING_FACE: Framing
FRAMING_BUST: Framing
BACKGROUND_KIND_UNSPECIFIED: BackgroundKind
BACKGROUND_KIND_KEEP: BackgroundKind
BACKGROUND_KIND_BLUR: BackgroundKind
BACKGROUND_KIND_COLOR: BackgroundKind
BACKGROUND_KIND_IMAGE: BackgroundKind
NEUTRAL_MODE_UNSPECIFIED: NeutralMode
NEUTRAL_MODE_AUTO: NeutralMode
NEUTRAL_MODE_FIRST: NeutralMode
NEUTRAL_MODE_ABSOLUTE: NeutralMode
SESSION_STATE_UNSPECIFIED: SessionState
SESSION_STATE_READY: SessionState
SESSION_STATE_GENERATING: SessionState
SESSION_STATE_FACE_LOST: SessionState
SESSION_STATE_RECONNECTING: SessionState
SESSION_STATE_CLOSED: SessionState
CLOSE_REASON_UNSPECIFIED: CloseReason
CLOSE_REASON_CLIENT: CloseReason
CLOSE_REASON_IDLE: CloseReason
CLOSE_REASON_MAX_DURATION: CloseReason
CLOSE_REASON_RESUME_WINDOW: CloseReason
CLOSE_REASON_DRAIN: CloseReason
CLOSE_REASON_STATE_LOST: CloseReason
GO_AWAY_ACTION_UNSPECIFIED: GoAwayAction
GO_AWAY_ACTION_RECONNECT: GoAwayAction
GO_AWAY_ACTION_CLOSE: GoAwayAction
MOTION_SOURCE_UNSPECIFIED: MotionSource
MOTION_SOURCE_POSE: MotionSource
MOTION_SOURCE_HELD: MotionSource
MOTION_SOURCE_IDLE: MotionSource
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_FACE_LOST: EventKind
EVENT_KIND_FACE_FOUND: EventKind
EVENT_KIND_CALIBRATED: EventKind
EVENT_KIND_POSE_REJECTED: EventKind
EVENT_KIND_PORTRAIT_CHANGED: EventKind
EVENT_KIND_SEVERAL_FACES: EventKind
EVENT_KIND_READER_STALLED: EventKind
EVENT_KIND_IGNORED_UNKNOWN: EventKind

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "model", "trained_stages", "width_px", "height_px", "fps", "max_sessions", "free_sessions", "encodings", "max_portrait_bytes", "draining")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TRAINED_STAGES_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    FPS_FIELD_NUMBER: _ClassVar[int]
    MAX_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    FREE_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    ENCODINGS_FIELD_NUMBER: _ClassVar[int]
    MAX_PORTRAIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    version: str
    model: str
    trained_stages: _containers.RepeatedScalarFieldContainer[str]
    width_px: int
    height_px: int
    fps: float
    max_sessions: int
    free_sessions: int
    encodings: _containers.RepeatedScalarFieldContainer[Encoding]
    max_portrait_bytes: int
    draining: bool
    def __init__(self, version: _Optional[str] = ..., model: _Optional[str] = ..., trained_stages: _Optional[_Iterable[str]] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., fps: _Optional[float] = ..., max_sessions: _Optional[int] = ..., free_sessions: _Optional[int] = ..., encodings: _Optional[_Iterable[_Union[Encoding, str]]] = ..., max_portrait_bytes: _Optional[int] = ..., draining: bool = ...) -> None: ...

class Gains(_message.Message):
    __slots__ = ("head", "eyes", "brows", "mouth", "translation")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    EYES_FIELD_NUMBER: _ClassVar[int]
    BROWS_FIELD_NUMBER: _ClassVar[int]
    MOUTH_FIELD_NUMBER: _ClassVar[int]
    TRANSLATION_FIELD_NUMBER: _ClassVar[int]
    head: float
    eyes: float
    brows: float
    mouth: float
    translation: float
    def __init__(self, head: _Optional[float] = ..., eyes: _Optional[float] = ..., brows: _Optional[float] = ..., mouth: _Optional[float] = ..., translation: _Optional[float] = ...) -> None: ...

class Background(_message.Message):
    __slots__ = ("kind", "color_rgb", "image")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COLOR_RGB_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    kind: BackgroundKind
    color_rgb: int
    image: bytes
    def __init__(self, kind: _Optional[_Union[BackgroundKind, str]] = ..., color_rgb: _Optional[int] = ..., image: _Optional[bytes] = ...) -> None: ...

class SessionConfig(_message.Message):
    __slots__ = ("framing", "background", "neutral", "gains", "smoothing", "seed", "framing_scale")
    FRAMING_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    GAINS_FIELD_NUMBER: _ClassVar[int]
    SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FRAMING_SCALE_FIELD_NUMBER: _ClassVar[int]
    framing: Framing
    background: Background
    neutral: NeutralMode
    gains: Gains
    smoothing: bool
    seed: int
    framing_scale: float
    def __init__(self, framing: _Optional[_Union[Framing, str]] = ..., background: _Optional[_Union[Background, _Mapping]] = ..., neutral: _Optional[_Union[NeutralMode, str]] = ..., gains: _Optional[_Union[Gains, _Mapping]] = ..., smoothing: bool = ..., seed: _Optional[int] = ..., framing_scale: _Optional[float] = ...) -> None: ...

class CreateSessionRequest(_message.Message):
    __slots__ = ("portrait", "consent", "idempotency_key", "config")
    PORTRAIT_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    portrait: bytes
    consent: bool
    idempotency_key: str
    config: SessionConfig
    def __init__(self, portrait: _Optional[bytes] = ..., consent: bool = ..., idempotency_key: _Optional[str] = ..., config: _Optional[_Union[SessionConfig, _Mapping]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("idle_timeout_s", "max_duration_s", "resume_window_s", "max_pose_rate_hz")
    IDLE_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_S_FIELD_NUMBER: _ClassVar[int]
    RESUME_WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    MAX_POSE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    idle_timeout_s: float
    max_duration_s: float
    resume_window_s: float
    max_pose_rate_hz: float
    def __init__(self, idle_timeout_s: _Optional[float] = ..., max_duration_s: _Optional[float] = ..., resume_window_s: _Optional[float] = ..., max_pose_rate_hz: _Optional[float] = ...) -> None: ...

class CreateSessionResponse(_message.Message):
    __slots__ = ("session_id", "resume_token", "limits", "endpoint", "width_px", "height_px", "faces", "affine")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    FACES_FIELD_NUMBER: _ClassVar[int]
    AFFINE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    resume_token: str
    limits: Limits
    endpoint: str
    width_px: int
    height_px: int
    faces: int
    affine: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, session_id: _Optional[str] = ..., resume_token: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., endpoint: _Optional[str] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., faces: _Optional[int] = ..., affine: _Optional[_Iterable[float]] = ...) -> None: ...

class StreamConfig(_message.Message):
    __slots__ = ("session_id", "resume_token", "encoding", "quality", "bit_rate", "max_in_flight", "badge", "user_agent")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    BIT_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    BADGE_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    resume_token: str
    encoding: Encoding
    quality: int
    bit_rate: int
    max_in_flight: int
    badge: bool
    user_agent: str
    def __init__(self, session_id: _Optional[str] = ..., resume_token: _Optional[str] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., quality: _Optional[int] = ..., bit_rate: _Optional[int] = ..., max_in_flight: _Optional[int] = ..., badge: bool = ..., user_agent: _Optional[str] = ...) -> None: ...

class Pose(_message.Message):
    __slots__ = ("seq", "timestamp_us", "face", "face_present", "face_confidence", "body", "hands")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    FACE_FIELD_NUMBER: _ClassVar[int]
    FACE_PRESENT_FIELD_NUMBER: _ClassVar[int]
    FACE_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    HANDS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    timestamp_us: int
    face: bytes
    face_present: bool
    face_confidence: float
    body: bytes
    hands: bytes
    def __init__(self, seq: _Optional[int] = ..., timestamp_us: _Optional[int] = ..., face: _Optional[bytes] = ..., face_present: bool = ..., face_confidence: _Optional[float] = ..., body: _Optional[bytes] = ..., hands: _Optional[bytes] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("frame_seq",)
    FRAME_SEQ_FIELD_NUMBER: _ClassVar[int]
    frame_seq: int
    def __init__(self, frame_seq: _Optional[int] = ...) -> None: ...

class Control(_message.Message):
    __slots__ = ("gains", "calibrate", "smoothing", "badge", "neutral", "paused", "key_frame")
    GAINS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATE_FIELD_NUMBER: _ClassVar[int]
    SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    BADGE_FIELD_NUMBER: _ClassVar[int]
    NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    KEY_FRAME_FIELD_NUMBER: _ClassVar[int]
    gains: Gains
    calibrate: bool
    smoothing: bool
    badge: bool
    neutral: NeutralMode
    paused: bool
    key_frame: bool
    def __init__(self, gains: _Optional[_Union[Gains, _Mapping]] = ..., calibrate: bool = ..., smoothing: bool = ..., badge: bool = ..., neutral: _Optional[_Union[NeutralMode, str]] = ..., paused: bool = ..., key_frame: bool = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("timestamp_us", "rtt_us")
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    RTT_US_FIELD_NUMBER: _ClassVar[int]
    timestamp_us: int
    rtt_us: int
    def __init__(self, timestamp_us: _Optional[int] = ..., rtt_us: _Optional[int] = ...) -> None: ...

class CameraFrame(_message.Message):
    __slots__ = ("seq", "timestamp_us", "image")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    seq: int
    timestamp_us: int
    image: bytes
    def __init__(self, seq: _Optional[int] = ..., timestamp_us: _Optional[int] = ..., image: _Optional[bytes] = ...) -> None: ...

class StreamRequest(_message.Message):
    __slots__ = ("config", "pose", "ack", "control", "ping", "camera")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    POSE_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    config: StreamConfig
    pose: Pose
    ack: Ack
    control: Control
    ping: Ping
    camera: CameraFrame
    def __init__(self, config: _Optional[_Union[StreamConfig, _Mapping]] = ..., pose: _Optional[_Union[Pose, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., control: _Optional[_Union[Control, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., camera: _Optional[_Union[CameraFrame, _Mapping]] = ...) -> None: ...

class StreamReady(_message.Message):
    __slots__ = ("config", "state", "resumed", "fps")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    FPS_FIELD_NUMBER: _ClassVar[int]
    config: StreamConfig
    state: SessionState
    resumed: bool
    fps: float
    def __init__(self, config: _Optional[_Union[StreamConfig, _Mapping]] = ..., state: _Optional[_Union[SessionState, str]] = ..., resumed: bool = ..., fps: _Optional[float] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue_us", "motion_us", "warp_us", "generator_us", "decode_us", "composite_us", "encode_us", "pose_to_frame_us")
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    MOTION_US_FIELD_NUMBER: _ClassVar[int]
    WARP_US_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_US_FIELD_NUMBER: _ClassVar[int]
    DECODE_US_FIELD_NUMBER: _ClassVar[int]
    COMPOSITE_US_FIELD_NUMBER: _ClassVar[int]
    ENCODE_US_FIELD_NUMBER: _ClassVar[int]
    POSE_TO_FRAME_US_FIELD_NUMBER: _ClassVar[int]
    queue_us: int
    motion_us: int
    warp_us: int
    generator_us: int
    decode_us: int
    composite_us: int
    encode_us: int
    pose_to_frame_us: int
    def __init__(self, queue_us: _Optional[int] = ..., motion_us: _Optional[int] = ..., warp_us: _Optional[int] = ..., generator_us: _Optional[int] = ..., decode_us: _Optional[int] = ..., composite_us: _Optional[int] = ..., encode_us: _Optional[int] = ..., pose_to_frame_us: _Optional[int] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("seq", "timestamp_us", "encoding", "key", "data", "width_px", "height_px", "pose_seq", "pose_timestamp_us", "pose_age_us", "source", "generated", "timings", "poses_dropped", "frames_dropped")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    POSE_SEQ_FIELD_NUMBER: _ClassVar[int]
    POSE_TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    POSE_AGE_US_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    GENERATED_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    POSES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    FRAMES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    timestamp_us: int
    encoding: Encoding
    key: bool
    data: bytes
    width_px: int
    height_px: int
    pose_seq: int
    pose_timestamp_us: int
    pose_age_us: int
    source: MotionSource
    generated: bool
    timings: Timings
    poses_dropped: int
    frames_dropped: int
    def __init__(self, seq: _Optional[int] = ..., timestamp_us: _Optional[int] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., key: bool = ..., data: _Optional[bytes] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., pose_seq: _Optional[int] = ..., pose_timestamp_us: _Optional[int] = ..., pose_age_us: _Optional[int] = ..., source: _Optional[_Union[MotionSource, str]] = ..., generated: bool = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., poses_dropped: _Optional[int] = ..., frames_dropped: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("kind", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: EventKind
    message: str
    def __init__(self, kind: _Optional[_Union[EventKind, str]] = ..., message: _Optional[str] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("state", "reason")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    state: SessionState
    reason: CloseReason
    def __init__(self, state: _Optional[_Union[SessionState, str]] = ..., reason: _Optional[_Union[CloseReason, str]] = ...) -> None: ...

class GoAway(_message.Message):
    __slots__ = ("action", "reason", "endpoint", "grace_s")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    GRACE_S_FIELD_NUMBER: _ClassVar[int]
    action: GoAwayAction
    reason: CloseReason
    endpoint: str
    grace_s: float
    def __init__(self, action: _Optional[_Union[GoAwayAction, str]] = ..., reason: _Optional[_Union[CloseReason, str]] = ..., endpoint: _Optional[str] = ..., grace_s: _Optional[float] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("timestamp_us",)
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    timestamp_us: int
    def __init__(self, timestamp_us: _Optional[int] = ...) -> None: ...

class StreamError(_message.Message):
    __slots__ = ("reason", "message", "retryable", "field", "retry_after_s")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    retryable: bool
    field: str
    retry_after_s: float
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., retryable: bool = ..., field: _Optional[str] = ..., retry_after_s: _Optional[float] = ...) -> None: ...

class StreamResponse(_message.Message):
    __slots__ = ("ready", "frame", "event", "status", "go_away", "pong", "error")
    READY_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    GO_AWAY_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ready: StreamReady
    frame: Frame
    event: Event
    status: Status
    go_away: GoAway
    pong: Pong
    error: StreamError
    def __init__(self, ready: _Optional[_Union[StreamReady, _Mapping]] = ..., frame: _Optional[_Union[Frame, _Mapping]] = ..., event: _Optional[_Union[Event, _Mapping]] = ..., status: _Optional[_Union[Status, _Mapping]] = ..., go_away: _Optional[_Union[GoAway, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., error: _Optional[_Union[StreamError, _Mapping]] = ...) -> None: ...

class UpdateSessionRequest(_message.Message):
    __slots__ = ("session_id", "resume_token", "portrait", "consent", "control")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PORTRAIT_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    resume_token: str
    portrait: bytes
    consent: bool
    control: Control
    def __init__(self, session_id: _Optional[str] = ..., resume_token: _Optional[str] = ..., portrait: _Optional[bytes] = ..., consent: bool = ..., control: _Optional[_Union[Control, _Mapping]] = ...) -> None: ...

class UpdateSessionResponse(_message.Message):
    __slots__ = ("state", "faces", "affine")
    STATE_FIELD_NUMBER: _ClassVar[int]
    FACES_FIELD_NUMBER: _ClassVar[int]
    AFFINE_FIELD_NUMBER: _ClassVar[int]
    state: SessionState
    faces: int
    affine: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, state: _Optional[_Union[SessionState, str]] = ..., faces: _Optional[int] = ..., affine: _Optional[_Iterable[float]] = ...) -> None: ...

class DeleteSessionRequest(_message.Message):
    __slots__ = ("session_id", "resume_token")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    resume_token: str
    def __init__(self, session_id: _Optional[str] = ..., resume_token: _Optional[str] = ...) -> None: ...

class DeleteSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
