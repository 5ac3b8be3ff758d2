"""MediaPipe's landmarks become poses in the units and on the sides the protocol promises."""

from __future__ import annotations

import base64
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError, InvalidInputError, MissingDependencyError
from avatar_client.pose import BODY_SHAPE, FACE_SHAPE, HANDS_SHAPE, Array, Pose, pack
from avatar_client.tracking import Hand, Landmarks, PoseTracker, TrackerConfig, quiet_mediapipe, to_pose
from numpy.typing import NDArray

FIXTURE = Path(__file__).resolve().parent / "data/pose_fixture.json"
RIGHT_EYE_OUTER, LEFT_EYE_OUTER, CHIN, FOREHEAD, NOSE_TIP = 33, 263, 152, 10, 1
LEFT_WRIST, RIGHT_WRIST = 15, 16


def read_image(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def fixture() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FIXTURE.read_text())
    return loaded


def floats(rows: Any) -> Array:
    return np.array(rows, np.float32)


def from_fixture(**parts: Any) -> Pose:
    data = fixture()
    return to_pose(Landmarks(**parts), data["timestamp_us"], width_px=data["width_px"], height_px=data["height_px"])


def hand(label: str, wrist: tuple[float, float], score: float = 0.9) -> Hand:
    points = np.zeros((21, 3), np.float32)
    points[0, :2] = wrist
    return Hand(label, score, points)


def wrist_x(pose: Pose) -> list[float]:
    assert pose.hands is not None
    return [float(x) for x in pose.hands[:, 0, 0]]


def test_landmarks_of_a_640_by_480_image_become_the_pose_every_language_agrees_on() -> None:
    data = fixture()
    raw, expected = data["mediapipe"], data["pose"]
    hands = [Hand(one["label"], one["score"], floats(one["points"])) for one in raw["hands"]]
    with_hands = from_fixture(face=floats(raw["face"]), hands=hands)
    with_body = from_fixture(face=floats(raw["face"]), body=floats(raw["body"]))
    np.testing.assert_array_equal(with_hands.face, floats(expected["face"]))
    np.testing.assert_array_equal(with_hands.hands, floats(expected["hands"]))
    np.testing.assert_array_equal(with_body.body, floats(expected["body"]))
    assert base64.b64encode(pack(with_hands.face)).decode() == expected["face_base64"]
    assert base64.b64encode(pack(with_body.body)).decode() == expected["body_base64"]  # type: ignore[arg-type]
    assert with_hands.timestamp_us == data["timestamp_us"]


def test_mediapipes_right_hand_is_the_subjects_left() -> None:
    left, right = wrist_x(from_fixture(hands=[hand("Right", (0.8, 0.5)), hand("Left", (0.2, 0.5))]))
    assert (left, right) == pytest.approx((0.8, 0.2))


def test_a_single_hand_leaves_the_other_side_absent() -> None:
    left, right = wrist_x(from_fixture(hands=[hand("Left", (0.2, 0.5))]))
    assert np.isnan(left)
    assert right == pytest.approx(0.2)


def test_of_two_hands_with_one_label_the_surer_keeps_it() -> None:
    left, right = wrist_x(from_fixture(hands=[hand("Right", (0.2, 0.5), 0.7), hand("Right", (0.8, 0.5), 0.98)]))
    assert (left, right) == pytest.approx((0.8, 0.2))


def test_a_tracked_bodys_wrists_decide_against_wrong_labels() -> None:
    body = np.zeros(BODY_SHAPE, np.float32)
    body[LEFT_WRIST, 0], body[RIGHT_WRIST, 0] = 0.8, 0.2
    hands = [hand("Left", (0.79, 0.0)), hand("Right", (0.21, 0.0))]
    assert wrist_x(from_fixture(body=body, hands=hands)) == pytest.approx([0.79, 0.21])


def test_tracked_but_absent_hands_differ_from_hands_not_tracked() -> None:
    tracked, untracked = from_fixture(hands=[]), from_fixture()
    assert tracked.hands is not None
    assert np.isnan(tracked.hands).all()
    assert untracked.hands is None


def test_landmarks_far_outside_are_no_face() -> None:
    assert not from_fixture(face=np.full(FACE_SHAPE, np.nan, np.float32)).face_present


def test_a_real_face_is_tracked_upright_unmirrored_and_in_image_widths(
    sample_portrait: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = read_image(sample_portrait)
    tall = np.concatenate([image, np.full((image.shape[0] // 2, image.shape[1], 3), 90, np.uint8)])
    with PoseTracker() as tracker:
        pose = tracker.track(image, 0)
    with PoseTracker() as tracker:
        in_taller_image = tracker.track(tall, 0)
    assert pose.face_present
    face = pose.face
    assert face[RIGHT_EYE_OUTER, 0] < face[LEFT_EYE_OUTER, 0]
    assert face[FOREHEAD, 1] < face[CHIN, 1]
    assert face[NOSE_TIP, 2] < face[RIGHT_EYE_OUTER, 2]
    np.testing.assert_allclose(in_taller_image.face[:, :2], face[:, :2], atol=0.02)
    assert capfd.readouterr().err == ""


def test_an_empty_picture_gives_an_absent_pose_with_its_time() -> None:
    with PoseTracker() as tracker:
        pose = tracker.track(np.full((120, 160, 3), 128, np.uint8), 123)
    assert (pose.face_present, pose.timestamp_us) == (False, 123)


def test_lines_of_others_on_stderr_still_arrive_while_mediapipe_is_silenced(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet_mediapipe():
        os.write(2, b"W0000 00:00:1 7 inference_feedback_manager.cc:114] chatter\nsomebody else's line\n")
    assert capfd.readouterr().err == "somebody else's line\n"


def test_body_and_hands_come_on_request_on_the_subjects_own_sides(media: Path) -> None:
    path = media / "portraits/dp6_upper_body_hands_synthetic_man.png"
    if not path.exists():
        pytest.skip(f"needs a picture with both hands: {path} is absent")
    with PoseTracker(TrackerConfig(body=True, hands=True)) as tracker:
        pose = tracker.track(read_image(path), 0)
    with PoseTracker(TrackerConfig(hands=True)) as tracker:
        labelled = tracker.track(read_image(path), 0)
    assert pose.body is not None
    assert pose.body[LEFT_WRIST, 0] > pose.body[RIGHT_WRIST, 0]
    assert 0.0 <= pose.body[:, 3].min() <= pose.body[:, 3].max() <= 1.0
    for found in (pose, labelled):
        left, right = wrist_x(found)
        assert left > 0.6
        assert right < 0.4
    assert pose.hands is not None
    assert pose.hands.shape == HANDS_SHAPE


def test_the_tasks_api_sees_the_same_face(sample_portrait: Path) -> None:
    model = os.environ.get("AVATAR_FACE_TASK", "")
    if not Path(model).is_file():
        pytest.skip("needs MediaPipe's Face Landmarker model: set AVATAR_FACE_TASK to a face_landmarker.task file")
    image = read_image(sample_portrait)
    with PoseTracker(TrackerConfig(face_task=model)) as tasks, PoseTracker() as solutions:
        for timestamp_us in (0, 100, 40_000):
            pose = tasks.track(image, timestamp_us)
        expected = solutions.track(image, 0)
    assert pose.face_present
    width = abs(expected.face[LEFT_EYE_OUTER, 0] - expected.face[RIGHT_EYE_OUTER, 0])
    assert np.abs(pose.face[:, :2] - expected.face[:, :2]).mean() < 0.05 * width


def test_a_missing_or_foreign_task_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"face_task is '.*gone.task': there is no such file"):
        PoseTracker(TrackerConfig(face_task=tmp_path / "gone.task"))
    (tmp_path / "x.task").write_bytes(b"no model at all")
    with pytest.raises(InvalidConfigError, match=r"x.task is no Face Landmarker model"):
        PoseTracker(TrackerConfig(face_task=tmp_path / "x.task"))


def test_a_mediapipe_without_built_in_models_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import mediapipe

    monkeypatch.delattr(mediapipe, "solutions")
    with pytest.raises(MissingDependencyError, match=r"install mediapipe==0.10.21, or .*face_task"):
        PoseTracker()


def test_confidences_outside_their_range_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match=r"min_detection_confidence is 1\.5"):
        TrackerConfig(min_detection_confidence=1.5)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)], ids=str
)
def test_an_image_of_another_shape_or_type_is_refused(image: Any) -> None:
    with PoseTracker() as tracker, pytest.raises(InvalidInputError, match="it must be uint8"):
        tracker.track(image, 0)


def test_tracking_raises_no_warnings(sample_portrait: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with PoseTracker(TrackerConfig(body=True, hands=True)) as tracker:
            tracker.track(read_image(sample_portrait), 0)
    assert [str(one.message) for one in caught] == []


def test_more_looks_at_an_image_sit_closer_to_what_a_still_image_gives(sample_portrait: Path) -> None:
    """A face that jumps between two images is met by the second look, as if it had been there before."""
    from PIL import Image

    picture = np.asarray(Image.open(sample_portrait).convert("RGB").resize((512, 512)))
    moved = np.roll(picture, (24, 40), (0, 1))
    with PoseTracker() as still:
        truth = still.track(moved, 1).face
    errors = []
    for looks in (1, 2):
        with PoseTracker(TrackerConfig(face_looks=looks)) as tracker:
            tracker.track(picture, 1)
            errors.append(float(np.abs(tracker.track(moved, 2).face - truth).mean()))
    assert errors[1] < errors[0]


def test_an_absurd_number_of_looks_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="face_looks is 9"):
        TrackerConfig(face_looks=9)
