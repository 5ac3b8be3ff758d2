"""The client's side of a conversation, message by message, without a network."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import InvalidInputError, ProtocolError
from avatar_client.events import CloseReason, EventKind, SessionState
from avatar_client.frame import MotionSource
from avatar_client.link import CameraPicture, SessionLink
from avatar_client.pose import Pose
from avatar_client.wire import pose_from_proto


class Clock:
    """Microseconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_us = 1_000_000

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def link(clock: Clock) -> SessionLink:
    """A link whose stream is open, with nothing left to say."""
    link = SessionLink(clock)
    link.new_session()
    link.begin(pb.StreamConfig(encoding=pb.ENCODING_RGB))
    make_ready(link)
    return link


def make_ready(link: SessionLink) -> None:
    link.receive(pb.StreamResponse(ready=pb.StreamReady(state=pb.SESSION_STATE_READY, fps=24)))
    said(link)


def said(link: SessionLink) -> list[pb.StreamRequest]:
    """Everything the link has to say now."""
    requests: Iterator[pb.StreamRequest | None] = iter(link.next_request, None)
    return [request for request in requests if request is not None]


def frame(seq: int, **fields: object) -> pb.StreamResponse:
    fields = {"encoding": pb.ENCODING_RGB, "width_px": 2, "height_px": 1, "data": bytes(6), "key": True} | fields
    return pb.StreamResponse(frame=pb.Frame(seq=seq, **fields))  # type: ignore[arg-type]


def test_the_configuration_comes_first_and_nothing_else_before_the_server_is_ready(clock: Clock) -> None:
    link = SessionLink(clock)
    link.begin(pb.StreamConfig(session_id="s"))
    link.put_pose(Pose(1))
    assert [request.WhichOneof("message") for request in said(link)] == ["config"]
    link.receive(pb.StreamResponse(ready=pb.StreamReady(state=pb.SESSION_STATE_READY, fps=24)))
    assert [request.WhichOneof("message") for request in said(link)] == ["pose", "ping"]
    assert (link.state, link.fps) == (SessionState.READY, 24)


def test_the_newest_pose_wins_and_the_replaced_one_is_counted(link: SessionLink) -> None:
    assert link.put_pose(Pose(1))
    assert not link.put_pose(Pose(2))
    (request,) = said(link)
    assert (request.pose.seq, request.pose.timestamp_us) == (1, 2)
    assert link.put_pose(Pose(3))
    assert [request.pose.seq for request in said(link)] == [2]
    assert link.statistics().dropped["pose_superseded"] == 1


def test_pictures_of_the_driver_count_in_one_sequence_with_poses(link: SessionLink) -> None:
    assert link.put_pose(Pose(1))
    said(link)
    assert link.put_pose(CameraPicture(b"jpeg", 2))
    assert not link.put_pose(CameraPicture(b"newer", 3))
    (request,) = said(link)
    assert (request.camera.seq, request.camera.timestamp_us, request.camera.image) == (2, 3, b"newer")


def test_a_pose_crosses_the_wire_unchanged(link: SessionLink) -> None:
    random = np.random.default_rng(0)
    hands = np.full((2, 21, 3), np.nan, np.float32)
    pose = Pose(5, random.random((478, 3), np.float32), True, 0.5, random.random((33, 4), np.float32), hands)
    link.put_pose(pose)
    received = pose_from_proto(pb.StreamRequest.FromString(said(link)[0].SerializeToString()).pose)
    np.testing.assert_array_equal(received.face, pose.face)
    np.testing.assert_array_equal(received.body, pose.body)  # type: ignore[arg-type]
    np.testing.assert_array_equal(received.hands, hands)  # type: ignore[arg-type]
    link.put_pose(Pose.absent(6))
    assert said(link)[0].pose.face == b""


def test_a_frame_is_acknowledged_when_it_is_taken_not_when_it_arrives(link: SessionLink) -> None:
    link.receive(frame(1))
    assert said(link) == []
    taken = link.take_frame()
    assert taken is not None
    assert [request.ack.frame_seq for request in said(link)] == [taken.seq] == [1]
    assert link.take_frame() is None
    assert said(link) == []


def test_a_late_reader_gets_the_newest_frame_and_acknowledges_all_before(link: SessionLink) -> None:
    for seq in (1, 2, 3):
        link.receive(frame(seq))
    taken = link.take_frame()
    assert taken is not None
    assert taken.seq == 3
    assert [request.ack.frame_seq for request in said(link)] == [3]
    statistics = link.statistics()
    assert (statistics.frames_received, statistics.frames_shown) == (3, 1)
    assert statistics.dropped["frame_superseded"] == 2


def test_changes_merge_until_they_are_sent(link: SessionLink) -> None:
    link.change(pb.Control(gains=pb.Gains(head=0.5, mouth=1.0), calibrate=True))
    link.change(pb.Control(gains=pb.Gains(mouth=2.0), paused=True))
    (request,) = said(link)
    assert request.control == pb.Control(gains=pb.Gains(head=0.5, mouth=2.0), calibrate=True, paused=True)
    assert said(link) == []


def test_a_restarted_session_is_told_the_standing_changes_again_but_not_to_calibrate(link: SessionLink) -> None:
    link.change(pb.Control(smoothing=False, calibrate=True))
    said(link)
    link.lost()
    link.new_session()
    link.begin(pb.StreamConfig())
    link.receive(pb.StreamResponse(ready=pb.StreamReady()))
    assert [request.control for request in said(link) if request.HasField("control")] == [pb.Control(smoothing=False)]


def test_a_resumed_session_keeps_counting_poses_and_a_new_one_starts_at_one(link: SessionLink) -> None:
    link.put_pose(Pose(1))
    said(link)
    link.lost()
    link.begin(pb.StreamConfig())
    make_ready(link)
    link.put_pose(Pose(2))
    assert said(link)[0].pose.seq == 2
    link.new_session()
    link.begin(pb.StreamConfig())
    make_ready(link)
    link.put_pose(Pose(3))
    assert said(link)[0].pose.seq == 1


def test_what_waited_for_a_broken_stream_is_dropped_not_replayed(link: SessionLink) -> None:
    link.put_pose(Pose(1))
    link.receive(frame(1))
    link.lost()
    link.begin(pb.StreamConfig())
    make_ready(link)
    assert said(link) == []
    assert link.take_frame() is None
    assert link.statistics().dropped["pose_superseded"] == 1


def test_the_round_trip_is_measured_and_reported_with_the_next_ping(link: SessionLink, clock: Clock) -> None:
    link.request_ping()
    (request,) = said(link)
    clock.now_us += 30_000
    link.receive(pb.StreamResponse(pong=pb.Pong(timestamp_us=request.ping.timestamp_us)))
    assert link.statistics().round_trip_ms == 30
    link.request_ping()
    assert said(link)[0].ping.rtt_us == 30_000


def test_latency_is_told_on_this_machines_clock_and_only_for_new_poses(link: SessionLink, clock: Clock) -> None:
    captured_us = clock.now_us - 50_000
    times = {"pose_timestamp_us": captured_us, "timings": pb.Timings(pose_to_frame_us=20_000)}
    link.receive(frame(1, source=pb.MOTION_SOURCE_POSE, **times))
    clock.now_us += 10_000
    taken = link.take_frame()
    assert taken is not None
    assert (taken.camera_to_display_us, taken.source) == (60_000, MotionSource.POSE)
    link.receive(frame(2, source=pb.MOTION_SOURCE_HELD, **times))
    held = link.take_frame()
    assert held is not None
    assert held.camera_to_display_us is None
    statistics = link.statistics()
    assert statistics.camera_to_display is not None
    assert statistics.pose_to_frame is not None
    assert (statistics.camera_to_display.p50_ms, statistics.pose_to_frame.p95_ms) == (60, 20)


def test_a_recordings_times_are_not_taken_for_latency(link: SessionLink) -> None:
    link.receive(frame(1, source=pb.MOTION_SOURCE_POSE, pose_timestamp_us=2_000_000))
    taken = link.take_frame()
    assert taken is not None
    assert taken.camera_to_display_us is None
    assert link.statistics().camera_to_display is None


def test_the_rate_is_that_of_the_last_seconds(link: SessionLink, clock: Clock) -> None:
    for seq in range(1, 49):
        clock.now_us += 41_667
        link.receive(frame(seq))
        link.take_frame()
    assert link.statistics().fps == pytest.approx(24, rel=0.01)
    clock.now_us += 6_000_000
    assert link.statistics().fps == 0


def test_drops_on_the_server_add_up_over_a_restart(link: SessionLink) -> None:
    link.receive(frame(1, poses_dropped=3, frames_dropped=2))
    link.receive(frame(2, poses_dropped=4, frames_dropped=2))
    link.new_session()
    link.begin(pb.StreamConfig())
    make_ready(link)
    link.receive(frame(1, poses_dropped=1, frames_dropped=1))
    dropped = link.statistics().dropped
    assert (dropped["pose_server"], dropped["frame_server"]) == (5, 3)


@pytest.mark.parametrize("kind", pb.EventKind.values()[1:])
def test_every_event_of_the_protocol_has_a_name_here(link: SessionLink, kind: int) -> None:
    event = link.receive(pb.StreamResponse(event=pb.Event(kind=kind, message="m")))  # type: ignore[arg-type]
    assert event is not None
    assert event.message == "m"
    assert event.kind is not EventKind.UNKNOWN


def test_an_event_of_a_newer_server_is_passed_on_as_unknown(link: SessionLink) -> None:
    event = link.receive(pb.StreamResponse.FromString(b"\x1a\x07\x08\x63\x12\x03new"))
    assert event is not None
    assert (event.kind, event.message) == (EventKind.UNKNOWN, "new")


@pytest.mark.parametrize("reason", pb.CloseReason.values()[1:])
def test_every_reason_to_close_has_a_name_here(link: SessionLink, reason: int) -> None:
    link.receive(
        pb.StreamResponse(status=pb.Status(state=pb.SESSION_STATE_CLOSED, reason=reason))  # type: ignore[arg-type]
    )
    assert link.close_reason is not CloseReason.UNSPECIFIED


def test_a_change_of_state_is_told_once(link: SessionLink) -> None:
    generating = pb.StreamResponse(status=pb.Status(state=pb.SESSION_STATE_GENERATING))
    event = link.receive(generating)
    assert event is not None
    assert (event.kind, event.message) == (EventKind.STATE_CHANGED, "generating")
    assert link.receive(generating) is None


def test_a_message_of_an_unknown_kind_is_ignored(link: SessionLink) -> None:
    assert link.receive(pb.StreamResponse()) is None


def test_raw_frames_are_pictures_and_a_wrong_size_is_named(link: SessionLink) -> None:
    link.receive(frame(1, data=bytes(range(6))))
    taken = link.take_frame()
    assert taken is not None
    assert taken.image.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    link.receive(frame(2, data=b"12345"))
    short = link.take_frame()
    assert short is not None
    with pytest.raises(ProtocolError, match="frame 2 has 5 bytes; 2×1 RGB needs 6"):
        _ = short.image


def test_jpeg_frames_are_decoded_on_first_look_and_damage_is_named(link: SessionLink) -> None:
    import simplejpeg

    data = simplejpeg.encode_jpeg(np.full((16, 16, 3), (200, 30, 30), np.uint8), quality=95)
    link.receive(frame(1, encoding=pb.ENCODING_JPEG, data=data))
    taken = link.take_frame()
    assert taken is not None
    assert taken.image is taken.image
    np.testing.assert_allclose(taken.image[8, 8], (200, 30, 30), atol=4)
    link.receive(frame(2, encoding=pb.ENCODING_JPEG, data=data[:40]))
    broken = link.take_frame()
    assert broken is not None
    with pytest.raises(ProtocolError, match="frame 2 is no readable JPEG"):
        _ = broken.image


def h264_frames(count: int, key_every: int) -> list[bytes]:
    """Pictures of brightness 40 + 10 × index, as a low-delay stream would carry them."""
    options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "g": str(key_every),
        "crf": "10",
        "x264-params": "repeat-headers=1",
    }
    codec = av.CodecContext.create("libx264", "w")
    codec.width = codec.height = 64
    codec.pix_fmt, codec.options = "yuv420p", options
    codec.time_base = Fraction(1, 24)
    buffer = []
    for index in range(count):
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40 + 10 * index, np.uint8), format="rgb24")
        picture.pts = index
        out = io.BytesIO()
        for packet in codec.encode(picture):
            out.write(bytes(packet))
        buffer.append(out.getvalue())
    return buffer


def test_h264_frames_can_be_looked_at_in_order_with_any_passed_over(clock: Clock) -> None:
    link = SessionLink(clock)
    link.begin(pb.StreamConfig(encoding=pb.ENCODING_H264))
    make_ready(link)
    taken = []
    for index, data in enumerate(h264_frames(8, key_every=5)):
        link.receive(frame(index + 1, encoding=pb.ENCODING_H264, data=data, key=index % 5 == 0))
        if index in (1, 2, 7):
            taken.append(link.take_frame())
    for one, brightness in zip(taken, (50, 60, 110), strict=True):
        assert one is not None
        assert float(one.image.mean()) == pytest.approx(brightness, abs=4)


def test_an_h264_frame_looked_at_after_a_later_one_is_refused(clock: Clock) -> None:
    link = SessionLink(clock)
    link.begin(pb.StreamConfig(encoding=pb.ENCODING_H264))
    make_ready(link)
    taken = []
    for index, data in enumerate(h264_frames(2, key_every=5)):
        link.receive(frame(index + 1, encoding=pb.ENCODING_H264, data=data, key=index == 0))
        taken.append(link.take_frame())
    first, second = taken
    assert first is not None
    assert second is not None
    _ = second.image
    with pytest.raises(InvalidInputError, match=r"H\.264 frame 1 was passed over"):
        _ = first.image
