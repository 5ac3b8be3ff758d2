"""A pose is checked where it is made, and means the same in every language."""

from __future__ import annotations

import numpy as np
import pytest
from avatar_client.errors import InvalidPoseError
from avatar_client.pose import BODY_SHAPE, FACE_SHAPE, HANDS_SHAPE, Pose, pack, unpack


def test_a_pose_without_a_face_says_so() -> None:
    pose = Pose.absent(7)
    assert not pose.face_present
    assert pose.face_confidence == 0.0
    assert not pose.face.any()


def test_an_absent_hand_is_nan_and_a_valid_pose() -> None:
    hands = np.full(HANDS_SHAPE, np.nan, np.float32)
    assert Pose(0, hands=hands).hands is hands


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("face", np.zeros((468, 3), np.float32), r"face is float32\[468, 3\]; it must be float32\[478, 3\]"),
        ("face", np.zeros(FACE_SHAPE), r"face is float64\[478, 3\]"),
        ("face", np.full(FACE_SHAPE, np.nan, np.float32), "face holds nan"),
        ("face", np.full(FACE_SHAPE, np.inf, np.float32), "face holds inf"),
        ("face", np.full(FACE_SHAPE, -9, np.float32), "face holds -9.0; every coordinate .* within ±8 image widths"),
        ("body", np.full(BODY_SHAPE, np.nan, np.float32), "body holds nan"),
        ("hands", np.full(HANDS_SHAPE, 9, np.float32), "hands holds 9.0"),
        ("timestamp_us", -1, "timestamp_us is -1"),
        ("timestamp_us", 2**63, "63-bit"),
        ("face_confidence", 1.5, "face_confidence is 1.5"),
        ("face_confidence", float("nan"), "face_confidence is nan"),
    ],
)
def test_a_bad_value_is_refused_with_its_name(field: str, values: object, message: str) -> None:
    arguments = {"timestamp_us": 0, field: values}
    with pytest.raises(InvalidPoseError, match=message) as caught:
        Pose(**arguments)  # type: ignore[arg-type]
    assert caught.value.field == f"pose.{field}"


def test_packing_is_row_major_little_endian_float32() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert pack(values) == b"".join(np.array(i, "<f4").tobytes() for i in range(6))
    np.testing.assert_array_equal(unpack(pack(values), "face", (2, 3)), values)


def test_a_wrong_number_of_bytes_names_part_and_numbers() -> None:
    with pytest.raises(InvalidPoseError, match=r"face has 5 bytes; \[478, 3\] float32 need 5736"):
        unpack(b"12345", "face", FACE_SHAPE)
