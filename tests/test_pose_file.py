"""Recorded poses come back as they were, and a damaged file says where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from avatar_client.errors import InvalidPoseError, InvalidVideoError
from avatar_client.pose import BODY_SHAPE, FACE_SHAPE, HANDS_SHAPE, Pose
from avatar_client.pose_file import PoseFileInfo, PoseReader, PoseWriter


def some_pose(timestamp_us: int, *, body: bool = False, hands: bool = False) -> Pose:
    random = np.random.default_rng(timestamp_us)
    left_only = random.random(HANDS_SHAPE, np.float32)
    left_only[1] = np.nan
    return Pose(
        timestamp_us,
        face=random.random(FACE_SHAPE, np.float32),
        face_confidence=0.5,
        body=random.random(BODY_SHAPE, np.float32) if body else None,
        hands=left_only if hands else None,
    )


def recording(path: Path, count: int = 5, info: PoseFileInfo | None = None) -> list[Pose]:
    poses = [some_pose(1000 + 41_667 * i) for i in range(count)]
    with PoseWriter(path, info) as writer:
        for pose in poses:
            writer.write(pose)
    return poses


def assert_equal(one: Pose, other: Pose) -> None:
    assert (one.timestamp_us, one.face_present, one.face_confidence) == (
        other.timestamp_us,
        other.face_present,
        other.face_confidence,
    )
    for a, b in ((one.face, other.face), (one.body, other.body), (one.hands, other.hands)):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            np.testing.assert_array_equal(a, b)


def test_poses_come_back_bit_for_bit_with_their_own_times(tmp_path: Path) -> None:
    info = PoseFileInfo(fps=29.97, width_px=640, height_px=480, source="Kamera „Süd“", body=True, hands=True)
    poses = [some_pose(7, body=True, hands=True), Pose.absent(9), some_pose(400_000), some_pose(400_001, hands=True)]
    with PoseWriter(tmp_path / "a.poses", info) as writer:
        for pose in poses:
            writer.write(pose)
    reader = PoseReader(tmp_path / "a.poses")
    assert reader.info == info
    assert reader.timestamps_us.tolist() == [7, 9, 400_000, 400_001]
    for written, read in zip(poses, reader, strict=True):
        assert_equal(written, read)


def test_any_pose_is_reached_by_its_index(tmp_path: Path) -> None:
    poses = recording(tmp_path / "a.poses")
    reader = PoseReader(tmp_path / "a.poses")
    assert len(reader) == 5
    assert_equal(reader[-1], poses[-1])
    assert [pose.timestamp_us for pose in reader[1:4:2]] == [poses[1].timestamp_us, poses[3].timestamp_us]
    with pytest.raises(IndexError):
        reader[5]


def test_a_read_pose_outlives_its_file(tmp_path: Path) -> None:
    poses = recording(tmp_path / "a.poses")
    pose = PoseReader(tmp_path / "a.poses")[2]
    (tmp_path / "a.poses").unlink()
    assert_equal(pose, poses[2])


def test_a_recording_without_poses_is_an_empty_sequence(tmp_path: Path) -> None:
    recording(tmp_path / "a.poses", 0)
    assert list(PoseReader(tmp_path / "a.poses")) == []


def test_the_final_name_appears_only_when_the_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.poses"
    recording(path, 3)
    with PoseWriter(path) as writer:
        writer.write(some_pose(1))
        assert len(PoseReader(path)) == 3
    assert len(PoseReader(path)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_recording_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.poses"
    recording(path, 3)
    error = RuntimeError("camera fell over")
    writer = PoseWriter(path)
    writer.write(some_pose(1))
    writer.__exit__(RuntimeError, error, None)
    assert len(PoseReader(path)) == 3
    assert_equal(PoseReader(writer.part)[0], some_pose(1))
    assert str(writer.part) in error.__notes__[0]


def test_a_killed_recorder_loses_nothing(tmp_path: Path) -> None:
    writer = PoseWriter(tmp_path / "a.poses")
    writer.write(some_pose(1))
    assert_equal(PoseReader(writer.part)[0], some_pose(1))
    writer.close()


def test_a_broken_off_recording_names_the_record_and_can_still_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.poses"
    poses = recording(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidVideoError, match=r"record 4 of 5.*allow_truncated"):
        PoseReader(path)
    assert_equal(PoseReader(path, allow_truncated=True)[-1], poses[3])


def test_a_file_cut_between_two_records_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.poses"
    recording(path)
    path.write_bytes(path.read_bytes()[: -PoseFileInfo().record.itemsize])
    with pytest.raises(InvalidVideoError, match="record 4 of 5"):
        PoseReader(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no .poses file"),
        (b"ftypisom" * 10, "starts with b'ftypisom'"),
        (b"\x89POSES\r\n\x01\x00", "header, at byte 10"),
        (b"\x89POSES\r\n\x63\x00" + bytes(30), "version 99; this release reads version 1"),
        (b"\x89POSES\r\n\x01\x00\x00\x00\xff\x00\x00\x00" + bytes(24), "header, at byte 40 of 295"),
        (b"\x89POSES\r\n\x01\x00\x00\x00\xff\xff\xff\xff" + bytes(24), "breaks off in its header"),
    ],
)
def test_a_foreign_or_broken_header_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.poses").write_bytes(content)
    with pytest.raises(InvalidVideoError, match=message):
        PoseReader(tmp_path / "a.poses")


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidVideoError, match=r"gone.poses cannot be read: No such file"):
        PoseReader(tmp_path / "gone.poses")
    with pytest.raises(InvalidVideoError, match="cannot be written"):
        PoseWriter(tmp_path / "nowhere" / "a.poses")


def test_a_damaged_record_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.poses"
    recording(path)
    content = bytearray(path.read_bytes())
    content[-4:] = np.float32(np.nan).tobytes()
    path.write_bytes(content)
    reader = PoseReader(path)
    reader[3]
    with pytest.raises(InvalidVideoError, match=r"record 4 of .* is damaged: face holds nan"):
        reader[4]


def test_time_must_increase(tmp_path: Path) -> None:
    with PoseWriter(tmp_path / "a.poses") as writer:
        writer.write(some_pose(5))
        with pytest.raises(InvalidPoseError, match="pose 1 is at 5 µs"):
            writer.write(some_pose(5))


def test_a_part_the_file_has_no_room_for_is_refused_rather_than_lost(tmp_path: Path) -> None:
    with (
        PoseWriter(tmp_path / "a.poses") as writer,
        pytest.raises(InvalidPoseError, match=r"PoseFileInfo\(hands=True\)"),
    ):
        writer.write(some_pose(5, hands=True))
