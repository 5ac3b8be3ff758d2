"""Protocol messages to our values and back."""

from __future__ import annotations

from typing import Any, Final

from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import InvalidConfigError
from avatar_client.pose import BODY_SHAPE, FACE_SHAPE, HANDS_SHAPE, Pose, unpack

from avatar_sdk.encode import Encoding
from avatar_sdk.motion import Gains, MotionConfig, MotionSource, Neutral, SmoothingConfig
from avatar_sdk.portrait import FRAMINGS, Background, BackgroundKind, Portrait, PortraitConfig
from avatar_sdk.session import Change, CloseReason, Notice, SentFrame, SessionState, StreamSettings

ENCODINGS: Final = {
    pb.ENCODING_UNSPECIFIED: Encoding.JPEG,
    pb.ENCODING_JPEG: Encoding.JPEG,
    pb.ENCODING_H264: Encoding.H264,
    pb.ENCODING_RGB: Encoding.RGB,
}
ENCODING_NUMBERS: Final = {
    Encoding.JPEG: pb.ENCODING_JPEG,
    Encoding.H264: pb.ENCODING_H264,
    Encoding.RGB: pb.ENCODING_RGB,
}
FRAMING_NAMES: Final = {
    pb.FRAMING_UNSPECIFIED: "bust",
    pb.FRAMING_FACE: "face",
    pb.FRAMING_BUST: "bust",
}
BACKGROUND_KINDS: Final = {
    pb.BACKGROUND_KIND_UNSPECIFIED: BackgroundKind.KEEP,
    pb.BACKGROUND_KIND_KEEP: BackgroundKind.KEEP,
    pb.BACKGROUND_KIND_BLUR: BackgroundKind.BLUR,
    pb.BACKGROUND_KIND_COLOR: BackgroundKind.COLOR,
    pb.BACKGROUND_KIND_IMAGE: BackgroundKind.IMAGE,
}
NEUTRALS: Final = {
    pb.NEUTRAL_MODE_AUTO: Neutral.AUTO,
    pb.NEUTRAL_MODE_FIRST: Neutral.FIRST,
    pb.NEUTRAL_MODE_ABSOLUTE: Neutral.ABSOLUTE,
}
SOURCES: Final = {
    MotionSource.POSE: pb.MOTION_SOURCE_POSE,
    MotionSource.HELD: pb.MOTION_SOURCE_HELD,
    MotionSource.IDLE: pb.MOTION_SOURCE_IDLE,
}


def known(table: Any, value: int, field: str) -> Any:
    """`table[value]`.

    Raises:
        InvalidConfigError: the client is newer than this server, or wrong.
    """
    if value not in table:
        raise InvalidConfigError(f"{field} is {value}; this server knows {sorted(table)}", field=field)
    return table[value]


def to_pose(message: Any) -> Pose:
    """A pose as it came over the wire.

    Raises:
        InvalidPoseError: naming the part at fault.
    """
    if not message.face_present:
        return Pose.absent(message.timestamp_us)
    return Pose(
        timestamp_us=message.timestamp_us,
        face=unpack(message.face, "face", FACE_SHAPE),
        face_confidence=message.face_confidence,
        body=unpack(message.body, "body", BODY_SHAPE) if message.body else None,
        hands=unpack(message.hands, "hands", HANDS_SHAPE) if message.hands else None,
    )


def to_portrait_config(config: Any, size_px: int) -> PortraitConfig:
    """Size, framing and background of a session.

    Raises:
        InvalidConfigError: naming the field at fault.
    """
    name = known(FRAMING_NAMES, config.framing, "config.framing")
    kind = known(BACKGROUND_KINDS, config.background.kind, "config.background.kind")
    color = config.background.color_rgb
    return PortraitConfig(
        width_px=size_px,
        height_px=size_px,
        framing=config.framing_scale or FRAMINGS[name],
        background=Background(
            kind=kind, color_rgb=(color >> 16, color >> 8 & 255, color & 255), image=config.background.image
        ),
    )


def to_motion_config(config: Any) -> MotionConfig:
    """How a session follows its driver.

    Raises:
        InvalidConfigError: naming the field at fault.
    """
    neutral = Neutral.AUTO if not config.neutral else known(NEUTRALS, config.neutral, "config.neutral")
    smooth = config.smoothing if config.HasField("smoothing") else True
    return MotionConfig(
        neutral=neutral,
        gains=Gains(**present(config.gains)),
        smoothing=SmoothingConfig() if smooth else None,
        seed=config.seed,
    )


def present(gains: Any) -> dict[str, float]:
    """The gains that are set."""
    return {field.name: value for field, value in gains.ListFields()}


def to_change(control: Any) -> Change:
    """A change while running.

    Raises:
        InvalidConfigError: naming the field at fault.
    """
    return Change(
        gains=present(control.gains) if control.HasField("gains") else None,
        calibrate=control.calibrate,
        smoothing=control.smoothing if control.HasField("smoothing") else None,
        badge=control.badge if control.HasField("badge") else None,
        neutral=known(NEUTRALS, control.neutral, "control.neutral") if control.neutral else None,
        paused=control.paused if control.HasField("paused") else None,
        key_frame=control.key_frame,
    )


def to_settings(config: Any) -> StreamSettings:
    """What a stream asks for.

    Raises:
        InvalidConfigError: naming the field at fault.
    """
    return StreamSettings(
        encoding=known(ENCODINGS, config.encoding, "config.encoding"),
        quality=config.quality,
        bit_rate=config.bit_rate,
        max_in_flight=config.max_in_flight,
        badge=config.badge if config.HasField("badge") else True,
    )


def from_state(state: SessionState, reason: CloseReason = CloseReason.UNSPECIFIED) -> Any:
    """A Status message."""
    return pb.Status(
        state=getattr(pb, f"SESSION_STATE_{state.name}"), reason=getattr(pb, f"CLOSE_REASON_{reason.name}")
    )


def from_notice(notice: Notice) -> Any:
    """An Event message."""
    return pb.Event(kind=getattr(pb, f"EVENT_KIND_{notice.kind.name}"), message=notice.message)


def from_frame(frame: SentFrame) -> Any:
    """A Frame message, but for `timings.pose_to_frame_us`, which is set just before it is written."""
    plan, shown, spent = frame.plan, frame.plan.shown, frame.timings_us
    return pb.Frame(
        seq=plan.seq,
        timestamp_us=plan.time_us,
        encoding=ENCODING_NUMBERS[frame.encoding],
        key=frame.encoded.key,
        data=frame.encoded.data,
        width_px=frame.width_px,
        height_px=frame.height_px,
        pose_seq=shown.seq if shown else 0,
        pose_timestamp_us=shown.pose.timestamp_us if shown else 0,
        pose_age_us=plan.pose_age_us,
        source=SOURCES[frame.source],
        generated=True,
        timings=pb.Timings(
            queue_us=max(0, spent["queue"]),
            motion_us=spent["motion"],
            warp_us=spent["warp"],
            generator_us=spent["generator"],
            decode_us=spent["decode"],
            composite_us=spent["composite"],
            encode_us=spent["encode"],
        ),
        poses_dropped=frame.poses_dropped,
        frames_dropped=frame.frames_dropped,
    )


def affine_numbers(portrait: Portrait) -> list[float]:
    """Row-major 2×3."""
    return [float(value) for value in portrait.affine.ravel()]
