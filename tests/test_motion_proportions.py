"""What a driver does means the same on a face of other proportions."""

from __future__ import annotations

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError
from motion_faces import (
    Floats,
    drive,
    lid_opening,
    lip_gaps,
    looking,
    measured,
    neutral_face,
    portrait_of,
    sample_faces,
    turned,
    with_openings,
)

from avatar_sdk.motion import Gains, MotionConfig, Neutral, Retargeter
from avatar_sdk.motion.regions import EYE_CORNERS, IRISES, MOUTH_CORNERS

EXACT = MotionConfig(neutral=Neutral.FIRST, smoothing=None)


def driven_by(portrait: Floats, faces: list[Floats], config: MotionConfig = EXACT) -> list[Floats]:
    return [motion.landmarks for motion in drive(Retargeter(portrait, config), np.stack(faces))]


def test_a_narrow_eyed_driver_closes_a_wide_eyed_portraits_eyes() -> None:
    rest, closed = neutral_face(), with_openings(neutral_face(), lids=0.05)
    narrow = [with_openings(face, lids=0.5) for face in (rest, closed)]
    wide = portrait_of(with_openings(rest, lids=1.3))
    still, shut = driven_by(wide, narrow)
    assert lid_opening(still) == pytest.approx(lid_opening(wide), rel=1e-3)
    assert abs(lid_opening(shut)) < 0.1 * lid_opening(wide)


def test_a_wide_eyed_driver_never_pulls_a_narrow_eyed_portraits_lids_through_each_other() -> None:
    rest = with_openings(neutral_face(), lids=1.4)
    narrow = portrait_of(with_openings(neutral_face(), lids=0.4))
    for lids in (0.8, 0.4, 0.1, 0.0):
        driven = driven_by(narrow, [rest, with_openings(rest, lids=lids)])[-1]
        assert lid_opening(driven) > -1e-3


def test_gaze_is_followed_in_eye_widths() -> None:
    rest = neutral_face()
    wide_eyed = portrait_of(rest).copy()
    measures = measured(wide_eyed)
    for eye in (0, 1):
        outer, inner = EYE_CORNERS[eye]
        wide_eyed[outer] += 0.2 * (wide_eyed[outer] - wide_eyed[inner])
    driven = driven_by(wide_eyed, [rest, looking(rest, 0.03)])
    moved = (driven[1] - driven[0])[IRISES[:, 0]] @ measures.axes[:, 0] / measures.width
    assert moved == pytest.approx([0.03 * 1.2, 0.03 * 1.2], rel=0.03)


def test_lips_meet_but_never_cross() -> None:
    speaking_rest = with_openings(neutral_face(), lips=0.08)
    closed_portrait = portrait_of(neutral_face())
    for face in (neutral_face(), with_openings(neutral_face(), lips=-0.03)):
        driven = driven_by(closed_portrait, [speaking_rest, face])[-1]
        assert lip_gaps(driven).min() >= min(lip_gaps(face).min(), 0) - 1e-4


def test_an_open_smile_closes_while_the_driver_speaks_and_comes_back_after() -> None:
    rest, wide = neutral_face(), with_openings(neutral_face(), lips=0.08)
    laughing = portrait_of(with_openings(neutral_face(), lips=0.10))
    speech = [rest, *[wide, rest] * 12]
    driven = driven_by(laughing, [*speech, *[rest] * 150])
    assert lip_gaps(driven[0]) == pytest.approx(lip_gaps(laughing), abs=1e-4)
    assert lip_gaps(driven[len(speech) - 1]).mean() < 0.2 * lip_gaps(laughing).mean()
    assert lip_gaps(driven[-1]).mean() > 0.8 * lip_gaps(laughing).mean()


def test_a_wide_mouthed_driver_smiles_in_the_portraits_measure() -> None:
    rest = neutral_face()
    wide = rest.copy()
    centre = wide[MOUTH_CORNERS].mean(0)
    wide[MOUTH_CORNERS] = centre + 1.25 * (wide[MOUTH_CORNERS] - centre)
    smiling = wide.copy()
    smiling[MOUTH_CORNERS] = centre + 1.2 * (wide[MOUTH_CORNERS] - centre)
    portrait = portrait_of(rest)
    driven = driven_by(portrait, [wide, smiling])[-1]
    assert measured(driven).mouth_width == pytest.approx(1.2 * measured(portrait).mouth_width, rel=0.01)


def test_a_turned_portrait_opens_its_mouth_along_its_own_face() -> None:
    rest, wide = neutral_face(), with_openings(neutral_face(), lips=0.08)
    tilted = portrait_of(turned(rest, roll=30, yaw=20))
    driven = driven_by(tilted, [rest, wide])[-1]
    assert lip_gaps(driven) == pytest.approx(lip_gaps(wide), abs=2e-3)


@pytest.mark.parametrize("axis", ["pitch", "yaw", "roll"])
def test_a_turned_portrait_turns_about_its_own_axes(axis: str) -> None:
    rest = neutral_face()
    portrait = turned(rest, yaw=-25)
    # What the driver does in front of the camera, the portrait does in its own frame.
    driven = driven_by(portrait_of(portrait), [rest, turned(rest, **{axis: 12.0})])[-1]
    own = measured(portrait).axes @ measured(rest).axes.T
    expected = own @ measured(turned(rest, **{axis: 12.0})).axes
    assert measured(driven).axes == pytest.approx(expected, abs=1e-3)


def test_gains_scale_their_own_part() -> None:
    rest = neutral_face()
    faces = [rest, turned(with_openings(rest, lips=0.08, lids=0.2), yaw=10)]
    portrait = portrait_of(rest)

    def moved(gains: Gains) -> tuple[float, float, float]:
        driven = driven_by(portrait, faces, MotionConfig(neutral=Neutral.FIRST, smoothing=None, gains=gains))[-1]
        yaw = np.degrees(np.arcsin(-measured(driven).axes[2, 0])) - np.degrees(
            np.arcsin(-measured(portrait).axes[2, 0])
        )
        return float(yaw), float((lip_gaps(driven) - lip_gaps(portrait)).mean()), lid_opening(driven)

    yaw, lips, lids = moved(Gains())
    assert moved(Gains(head=0)) == pytest.approx((0, lips, lids), abs=0.01)
    assert moved(Gains(head=2)) == pytest.approx((2 * yaw, lips, lids), abs=0.01)
    assert moved(Gains(mouth=0)) == pytest.approx((yaw, 0, lids), abs=0.01)
    assert moved(Gains(eyes=0)) == pytest.approx((yaw, lips, lid_opening(portrait)), abs=0.01)


def test_a_gain_out_of_range_is_named() -> None:
    with pytest.raises(InvalidConfigError, match=r"gain mouth is 2.5; it must be in \[0, 2\]"):
        Gains(mouth=2.5)


def test_absolute_takes_over_the_drivers_pose_and_shape() -> None:
    first = turned(with_openings(neutral_face(), lids=0.6), yaw=15)
    portrait = portrait_of(neutral_face())
    driven = driven_by(portrait, [first], MotionConfig(neutral=Neutral.ABSOLUTE, smoothing=None))[0]
    assert measured(driven).axes == pytest.approx(measured(first).axes, abs=1e-3)
    assert lid_opening(driven) == pytest.approx(lid_opening(first), rel=0.02)


def test_the_rigid_part_carries_what_rides_on_the_head() -> None:
    rest = neutral_face()
    portrait = portrait_of(rest)
    motions = drive(Retargeter(portrait, EXACT), np.stack([rest, turned(rest, yaw=15, pitch=-8) * np.float32(1.1)]))
    for motion in motions:
        riding = motion.head_scale * portrait @ motion.head_rotation.T + motion.head_translation
        assert np.abs(riding - motion.landmarks).max() < 0.01
    assert motions[-1].head_scale == pytest.approx(1.1, rel=1e-4)


@pytest.mark.parametrize("yaw", [50, 80, -120, 179])
def test_extreme_turns_stay_sane(yaw: float) -> None:
    faces = sample_faces()[:30:5]
    portrait = portrait_of(faces[0])
    width = measured(portrait).width
    turns = np.stack([turned(face, yaw=yaw * k / 5) for k, face in enumerate(faces)])
    for motion in drive(Retargeter(portrait, EXACT), turns):
        assert np.isfinite(motion.landmarks).all()
        assert np.degrees(np.arccos((np.trace(motion.head_rotation) - 1) / 2)) <= 60.1
        assert np.abs(motion.landmarks.mean(0) - portrait.mean(0)).max() < 2 * width


def test_a_grinning_portrait_stops_grinning_while_the_driver_frowns() -> None:
    rest = neutral_face()
    corners = [*MOUTH_CORNERS, 78, 308]

    def with_corners(face: Floats, wider: float, lower: float) -> Floats:
        measures = measured(face)
        out = face.astype(np.float64)
        middle = out[corners].mean(0)
        out[corners] = middle + wider * (out[corners] - middle) + lower * measures.width * measures.axes[:, 1]
        return out.astype(np.float32)

    grinning = portrait_of(with_corners(rest, wider=1.5, lower=-0.05))
    frown = with_corners(rest, wider=0.9, lower=0.06)
    still, frowning = driven_by(grinning, [rest, *[frown] * 25])[::25]
    assert np.abs(still - grinning).max() < 0.01
    assert measured(frowning).mouth_width < 0.82 * measured(grinning).mouth_width
