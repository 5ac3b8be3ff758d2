"""Options, errors, waits and exports of the client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import avatar_client
import grpc
import pytest
from avatar_client import AvatarClient, Gains, ReconnectConfig, SessionOptions, TlsConfig
from avatar_client._gen import avatar_pb2 as pb
from avatar_client.errors import (
    AvatarError,
    ConnectionLostError,
    InvalidConfigError,
    InvalidPortraitError,
    NoCapacityError,
    ProtocolError,
    TimeoutExceededError,
)
from avatar_client.wire import error_from_rpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2


def rpc_error(code: grpc.StatusCode, said: str, *details: object) -> grpc.aio.AioRpcError:
    packed = []
    for detail in details:
        one = any_pb2.Any()
        one.Pack(detail)
        packed.append(one)
    status = status_pb2.Status(code=code.value[0], message=said, details=packed)
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing if packed else grpc.aio.Metadata(), said)


def test_an_error_comes_back_as_the_class_the_server_raised() -> None:
    error = error_from_rpc(
        rpc_error(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "all 4 slots are taken",
            error_details_pb2.ErrorInfo(reason="NO_CAPACITY", domain="avatar"),
            error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2, nanos=500_000_000)),
        ),
        "host:1",
    )
    assert type(error) is NoCapacityError
    assert (error.message, error.retryable, error.retry_after_s) == ("all 4 slots are taken", True, 2.5)


def test_the_field_at_fault_comes_back_too() -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="portrait", description="no face")
    error = error_from_rpc(
        rpc_error(
            grpc.StatusCode.INVALID_ARGUMENT,
            "no face",
            error_details_pb2.ErrorInfo(reason="INVALID_PORTRAIT"),
            error_details_pb2.BadRequest(field_violations=[violation]),
        ),
        "host:1",
    )
    assert type(error) is InvalidPortraitError
    assert error.field == "portrait"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (grpc.StatusCode.UNAVAILABLE, ConnectionLostError, "connection to host:1 broke .*avatar serve"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, TimeoutExceededError, "host:1 did not answer in time"),
        (grpc.StatusCode.UNIMPLEMENTED, ProtocolError, r"host:1 does not speak avatar\.v1"),
        (grpc.StatusCode.UNKNOWN, AvatarError, "host:1 answered UNKNOWN: why"),
    ],
)
def test_an_error_without_a_reason_is_told_by_its_code(
    code: grpc.StatusCode, kind: type[AvatarError], message: str
) -> None:
    error = error_from_rpc(rpc_error(code, "why"), "host:1")
    assert type(error) is kind
    with pytest.raises(kind, match=message):
        raise error


def test_an_unknown_reason_of_a_newer_server_falls_back_to_the_code() -> None:
    info = error_details_pb2.ErrorInfo(reason="QUANTUM_FLUCTUATION")
    assert type(error_from_rpc(rpc_error(grpc.StatusCode.NOT_FOUND, "gone", info), "h")).__name__ == (
        "SessionNotFoundError"
    )


def test_the_first_try_comes_at_once_and_waits_grow_to_a_bound_with_jitter() -> None:
    config = ReconnectConfig(base_s=1.0, max_delay_s=4.0)
    assert config.delay_s(1) == 0.0
    for attempt, bound_s in ((2, 1.0), (3, 2.0), (4, 4.0), (50, 4.0)):
        waits = [config.delay_s(attempt) for _ in range(200)]
        assert 0.0 <= min(waits) < 0.2 * bound_s
        assert 0.8 * bound_s < max(waits) <= bound_s


def test_the_servers_wish_to_wait_is_respected() -> None:
    assert ReconnectConfig().delay_s(1, at_least_s=2.5) == 2.5


def test_options_become_the_protocols_values(tmp_path: Path) -> None:
    (tmp_path / "wall.jpg").write_bytes(b"jpeg bytes")
    config = SessionOptions(framing=2.5, background="#20aa60", neutral="first", gains=Gains(mouth=1.5), seed=7)
    assert config.session_config() == pb.SessionConfig(
        framing_scale=2.5,
        background=pb.Background(kind=pb.BACKGROUND_KIND_COLOR, color_rgb=0x20AA60),
        neutral=pb.NEUTRAL_MODE_FIRST,
        gains=pb.Gains(mouth=1.5),
        smoothing=True,
        seed=7,
    )
    assert SessionOptions(framing="face").session_config().framing == pb.FRAMING_FACE
    picture = SessionOptions(background=tmp_path / "wall.jpg").session_config().background
    assert (picture.kind, picture.image) == (pb.BACKGROUND_KIND_IMAGE, b"jpeg bytes")
    assert SessionOptions(encoding="h264", bit_rate=5).stream_config() == pb.StreamConfig(
        encoding=pb.ENCODING_H264, bit_rate=5, badge=True
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"framing": "whole"}, "framing is 'whole'; it must be 'face', 'bust' or a number"),
        ({"framing": 9.0}, r"framing is 9\.0; it must be in \[1\.4, 6\]"),
        ({"background": "gone.jpg"}, r"background is 'gone\.jpg': neither .* nor a readable image"),
        ({"background": bytes(8 * 2**20 + 1)}, "the background has 8388609 bytes, more than 8388608"),
        ({"neutral": "smile"}, "neutral is 'smile'; it must be one of auto, first, absolute"),
        ({"encoding": "gif"}, "encoding is 'gif'; it must be one of jpeg, h264, rgb"),
        ({"quality": 101}, r"quality is 101; it must be in \[1, 100\]"),
        ({"max_in_flight": 9}, r"max_in_flight is 9; it must be in \[1, 8\]"),
    ],
)
def test_an_option_out_of_range_is_named_before_anything_is_sent(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message) as caught:
        AvatarClient().session(b"portrait", consent=True, options=SessionOptions(**options))  # type: ignore[arg-type]
    assert caught.value.field == next(iter(options))


def test_a_gain_out_of_range_is_named() -> None:
    with pytest.raises(InvalidConfigError, match=r"gain eyes is 3; it must be in \[0, 2\]"):
        Gains(eyes=3)


def test_a_session_needs_consent() -> None:
    with pytest.raises(InvalidConfigError, match="pass consent=True to say that the person shown agreed"):
        AvatarClient().session(b"portrait")


def test_a_portrait_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    client = AvatarClient()
    with pytest.raises(InvalidPortraitError, match=r"gone\.jpg cannot be read: No such file"):
        client.session(tmp_path / "gone.jpg", consent=True)
    with pytest.raises(InvalidPortraitError, match="the portrait is empty"):
        client.session(b"", consent=True)
    with pytest.raises(InvalidPortraitError, match="the portrait has 8388609 bytes, more than 8388608"):
        client.session(bytes(8 * 2**20 + 1), consent=True)


def test_a_tls_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"TLS file '.*ca\.pem' cannot be read: No such file"):
        TlsConfig(root_certificates=tmp_path / "ca.pem").credentials()


def test_a_timeout_must_be_positive() -> None:
    with pytest.raises(InvalidConfigError, match="connect_timeout_s is 0; it must be positive"):
        AvatarClient(connect_timeout_s=0)


def test_exported_names_are_sorted_and_all_there() -> None:
    assert avatar_client.__all__ == sorted(avatar_client.__all__)
    for name in avatar_client.__all__:
        assert getattr(avatar_client, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        _ = avatar_client.Clinet


def test_importing_the_client_loads_nothing_heavy() -> None:
    code = (
        "import sys, avatar_client; heavy = {'numpy', 'grpc', 'mediapipe', 'cv2', 'av'};"
        "early = heavy & set(sys.modules);"
        "[getattr(avatar_client, name) for name in avatar_client.__all__];"
        "print(sorted(early), sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[] ['grpc', 'numpy']"
