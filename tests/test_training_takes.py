"""Which frames, takes and portraits of a video one can learn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar_sdk.motion.measures import Measures
from training.prepare.clips import choose_portrait, clip_starts, judge, portrait_scores
from training.prepare.config import PrepareConfig
from training.prepare.cuts import CutFinder
from training.prepare.look import Look
from training.prepare.segments import Fate, Story, Take, fault_of, takes

Pixels = NDArray[np.uint8]
QUICK = PrepareConfig(frames=8, size_px=256, neutral=6)


def a_look(index: int, face: NDArray[np.float32] | None, **changed: Any) -> Look:
    values: dict[str, Any] = {
        "index": index,
        "time_us": 40_000 * index,
        "image": np.zeros((100, 100, 3), np.uint8),
        "face": face,
        "measures": None if face is None else Measures.of(face),
        "faces": 1,
        "counted": index % 4 == 0,
        "blur": 0.3,
        "cut": False,
    }
    return Look(**{**values, **changed})


@pytest.fixture(scope="module")
def face() -> NDArray[np.float32]:
    """A face in the middle of a picture of 100 × 100."""
    from training.heads.anatomy import SKIN

    points = np.zeros((478, 3), np.float32)
    points[:468] = SKIN * (1, -1, -1)
    points[468:] = points[159]
    points -= points[:468].mean(0)
    return (points / np.ptp(points, 0).max() * 0.5 + [0.5, 0.5, 0]).astype(np.float32)


def test_frames_that_cannot_be_used_say_why(face: NDArray[np.float32]) -> None:
    config = replace(QUICK, min_face_px=40)
    assert fault_of(a_look(0, face), config) is None
    assert fault_of(a_look(0, None), config) is Fate.NO_FACE
    assert fault_of(a_look(0, face, faces=2), config) is Fate.SEVERAL_FACES
    assert fault_of(a_look(0, 0.5 * face), config) is Fate.SMALL_FACE
    assert fault_of(a_look(0, face + np.float32([0.4, 0, 0])), config) is Fate.AT_THE_EDGE


def test_a_second_face_takes_back_the_frames_since_the_last_count(face: NDArray[np.float32]) -> None:
    seen = [a_look(k, face, faces=1 + (k >= 12)) for k in range(16)]
    story = Story()
    (take,) = takes(seen, replace(QUICK, min_face_px=40), story)
    assert [look.index for look in take.looks] == list(range(9))
    assert {fate for _, _, fate in story.fates} == {Fate.SEVERAL_FACES}
    assert [index for index, _, _ in story.fates] == list(range(9, 16))


def test_long_shots_are_parted_so_that_a_portrait_stays_near(face: NDArray[np.float32]) -> None:
    seen = [a_look(k, face) for k in range(40)]
    parted = list(takes(seen, replace(QUICK, min_face_px=40, take_frames=16), Story()))
    assert [len(take.looks) for take in parted] == [16, 24]
    assert {take.shot for take in parted} == {0}


def test_a_face_that_jumps_or_grows_at_once_is_another_one(face: NDArray[np.float32]) -> None:
    def shots(last: NDArray[np.float32]) -> int:
        story = Story()
        list(takes([a_look(0, face), a_look(1, last)], replace(QUICK, min_face_px=20), story))
        return story.shot

    assert shots(face + np.float32([0.05, 0, 0])) == 0
    assert shots(face + np.float32([0.3, 0, 0])) == 1
    assert shots(0.6 * face) == 1


def test_another_size_a_pause_and_another_picture_are_cuts_and_a_shaking_camera_is_not() -> None:
    rng = np.random.default_rng(0)

    def cut(picture: Pixels, time_us: int = 280_000) -> bool:
        finder = CutFinder(0.08, 0.25)
        for k in range(7):
            assert not finder.see(np.full((54, 96, 3), 100 + k, np.uint8), 40_000 * k)
        return finder.see(picture, time_us)

    grey = np.full((54, 96, 3), 100, np.uint8)
    assert not cut(grey)
    assert cut(grey + np.uint8(90))
    assert cut(grey, time_us=900_000)
    assert cut(grey[:50])
    finder = CutFinder(0.08, 0.25)
    shaking = rng.integers(0, 255, (20, 27, 48, 3)).astype(np.uint8)
    assert sum(finder.see(picture, 40_000 * k) for k, picture in enumerate(shaking)) == 1


def test_clips_cover_a_take_to_its_end() -> None:
    assert clip_starts(32, PrepareConfig()) == [0]
    assert clip_starts(75, PrepareConfig()) == [0, 22, 43]
    assert clip_starts(64, PrepareConfig(step=16)) == [0, 16, 32]


def test_a_portrait_is_straight_with_open_eyes_and_a_closed_mouth(face: NDArray[np.float32]) -> None:
    turned = face.copy()
    turned[:, [0, 2]] = (face[:, [0, 2]] - [0.5, 0]) @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + [0.5, 0]
    shut = face.copy()
    shut[[159, 158, 160, 386, 385, 387]] = face[[145, 153, 144, 374, 380, 373]]
    talking = face + 0
    talking[[14, 87, 317, 88, 318, 178, 402, 95, 324], 1] += 0.06
    looks = [a_look(k, one) for k, one in enumerate([turned, shut, talking, face, face])]
    scores = portrait_scores([*looks, a_look(5, face, blur=0.5)])
    assert min(scores) == scores[3] == scores[4]
    assert scores[5] > scores[3]


def test_a_take_without_a_good_moment_has_no_portrait(face: NDArray[np.float32]) -> None:
    take = Take([a_look(k, face) for k in range(8)], shot=0)
    assert choose_portrait(take, replace(QUICK, neutral=0), reader=None) is None  # type: ignore[arg-type]


def test_a_clip_is_judged_by_most_of_its_frames(face: NDArray[np.float32]) -> None:
    moving = [a_look(k, face + np.float32([0.01 * k, 0, 0])) for k in range(6)]
    assert judge(moving, QUICK) is Fate.KEPT
    assert judge([replace(moving[0], blur=0.9), *moving[1:]], QUICK) is Fate.KEPT
    assert judge([replace(look, blur=0.9) for look in moving], QUICK) is Fate.BLURRED
    assert judge([a_look(k, face) for k in range(6)], QUICK) is Fate.STATIC
