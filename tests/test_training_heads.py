"""Rendered people: exact landmarks, smooth motion, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from avatar_sdk.topology import EYE_LEFT, EYE_RIGHT, LIPS_INNER, TRIANGLES
from training.heads import expression
from training.heads.acting import perform
from training.heads.anatomy import MIRROR, SKIN, lid_opening, pull
from training.heads.detector import DetectorModel
from training.heads.identity import draw_identity
from training.heads.raster import Lights, Material, Materials, Surface, draw
from training.heads.scene import FilmConfig, Scene

SMALL = FilmConfig(side_px=128, oversampling=1.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(3, SMALL)


def with_weights(scene: Scene, **weights: float) -> np.ndarray:
    values = np.zeros_like(scene.portrait.weights)
    for name, value in weights.items():
        values[0, expression.INDEX[name]] = value
    _, landmarks = scene.person.pose(replace(scene.portrait, weights=values), 0)
    return landmarks


def test_the_average_face_is_symmetric() -> None:
    np.testing.assert_allclose(SKIN[MIRROR] * (-1, 1, 1), SKIN, atol=0.02)


def test_skin_follows_what_pulls_it_and_stays_where_it_is_held() -> None:
    moved = pull({61: (-1.0, 0.5, 0.0)}, [10, 152, 1])
    np.testing.assert_allclose(moved[61], (-1.0, 0.5, 0.0))
    np.testing.assert_allclose(moved[[10, 152, 1]], 0, atol=1e-9)
    assert np.linalg.norm(moved[185]) > 0.3, "a neighbour goes along"


def test_a_blink_closes_the_eyes_of_everybody() -> None:
    for seed in range(4):
        face = draw_identity(np.random.default_rng(seed)).face[:468]
        weights = np.zeros(len(expression.NAMES))
        weights[[expression.INDEX["blink_right"], expression.INDEX["blink_left"]]] = 1
        closed = expression.deform(face, expression.shapes_of(face), weights)
        assert (lid_opening(closed) < 0.05).all()
        assert (lid_opening(face) > 0.15).all()


def test_closed_lids_hide_the_eyes_from_the_side_too() -> None:
    scene = Scene((5, 12))  # turned far away, with the roundest eyes of eighty people
    weights = scene.portrait.weights.copy()
    weights[0, [expression.INDEX["blink_right"], expression.INDEX["blink_left"]]] = 1
    ahead, aside = (
        scene.take(replace(scene.portrait, weights=weights, gaze_rad=gaze + 0 * scene.portrait.gaze_rad), 0).clean
        for gaze in (0.0, np.array((0.8, 0.0)))
    )
    assert (cv2.absdiff(ahead, aside).max(-1) > 8).sum() < 10


def test_a_shape_of_the_right_side_leaves_the_left_eye_alone(scene: Scene) -> None:
    rest, winked = with_weights(scene), with_weights(scene, blink_right=1.0)
    np.testing.assert_allclose(winked[EYE_LEFT], rest[EYE_LEFT], atol=0.02)
    assert np.linalg.norm(winked[EYE_RIGHT[4]] - rest[EYE_RIGHT[4]]) > 0.2


def test_the_jaw_opens_the_mouth_downwards(scene: Scene) -> None:
    rest, opened = with_weights(scene, lips_close=1.0), with_weights(scene, jaw_open=1.0)
    assert np.linalg.norm(opened[13] - opened[14]) > 2.0 > 0.5 > np.linalg.norm(rest[13] - rest[14])


def test_gaze_moves_the_irises_and_nothing_else(scene: Scene) -> None:
    _, ahead = scene.person.pose(replace(scene.portrait, gaze_rad=np.zeros((1, 2))), 0)
    _, aside = scene.person.pose(replace(scene.portrait, gaze_rad=np.array([[0.4, 0.0]])), 0)
    np.testing.assert_allclose(aside[:468], ahead[:468])
    turn = scene.person.pose(scene.portrait, 0)[1]
    across = turn[EYE_LEFT[0]] - turn[EYE_RIGHT[0]]
    assert ((aside[[468, 473]] - ahead[[468, 473]]) @ across > 0).all(), "towards the subject's left"


def test_the_same_seed_is_the_same_film_and_another_seed_another() -> None:
    first, again, other = (Scene(seed, SMALL) for seed in (7, 7, 8))
    takes = [s.take(s.act(2), 1) for s in (first, again, other)]
    np.testing.assert_array_equal(takes[0].image, takes[1].image)
    np.testing.assert_array_equal(takes[0].landmarks, takes[1].landmarks)
    assert np.abs(takes[0].image.astype(int) - takes[2].image).mean() > 5


def test_landmarks_lie_on_the_person(scene: Scene) -> None:
    take = scene.take(scene.act(1, lively=0.2), 0)
    column, row = take.landmarks[:, :2].round().astype(int).clip(0, SMALL.side_px - 1).T
    assert (take.alpha[row, column] > 128).mean() > 0.97
    assert take.alpha.min() == 0, "there is a background"


def test_inner_lips_frame_what_an_open_mouth_shows(scene: Scene) -> None:
    weights = np.zeros_like(scene.portrait.weights)
    weights[0, expression.INDEX["jaw_open"]] = 1
    closed = scene.portrait.weights * 0
    closed[0, expression.INDEX["lips_close"]] = 1
    calm = replace(scene.portrait, head_rad=np.zeros((1, 3)))
    opened = scene.take(replace(calm, weights=weights), 0)
    shut = scene.take(replace(calm, weights=closed), 0)
    inside = np.zeros((SMALL.side_px, SMALL.side_px), np.uint8)
    cv2.fillPoly(inside, [opened.landmarks[LIPS_INNER, :2].round().astype(np.int32)], 1)
    change = np.abs(opened.clean.astype(int) - shut.clean).mean(-1)
    assert change[inside > 0].mean() > 5 * change[inside == 0].mean()


def test_motion_is_smooth() -> None:
    for seed in range(8):
        act = perform(np.random.default_rng(seed), 96, 96.0)
        assert np.abs(np.diff(act.head_rad, axis=0)).max() < 0.03
        assert np.abs(np.diff(act.weights, axis=0)).max() < 0.45, "a blink is the fastest a face can do"


def test_people_blink_speak_and_look_about() -> None:
    acts = [perform(np.random.default_rng(seed), 120, 24.0) for seed in range(12)]
    weights = np.concatenate([act.weights for act in acts])
    blinks = weights[:, expression.INDEX["blink_left"]]
    assert (blinks > 0.9).mean() > 0.01
    assert np.median(blinks) < 0.4
    assert weights[:, expression.INDEX["jaw_open"]].max() > 0.5
    assert np.concatenate([act.gaze_rad for act in acts]).std(0).min() > 0.03


def test_what_is_nearer_hides_what_is_behind() -> None:
    red, green = (Material(np.full((2, 2, 4), (*c, 255), np.uint8), gloss=0) for c in ((255, 0, 0), (0, 255, 0)))
    corners = np.array([(-50, -50, 0), (50, -50, 0), (0, 80, 0)], np.float32)
    surface = Surface(
        points=np.concatenate([corners, corners - (0, 0, 5)]).astype(np.float32),
        triangles=np.array([(0, 1, 2), (3, 4, 5)], np.int32),
        uv=np.full((6, 2), 0.5, np.float32),
        material=np.array([1, 0], np.int32),
        materials=Materials.pack([red, green]),
    )
    screen = surface.points * (1, 1, -1) + np.array((16, 16, 100), np.float32)
    white = np.full((1, 3), 0.0, np.float32)
    lights = Lights(np.array([[0, 0, 1]], np.float32), white, np.array([[1, 1, 1], [0] * 3, [0] * 3], np.float32), 0.0)
    image = np.zeros((32, 32, 3), np.uint8)
    covered, depth = draw(surface, np.ascontiguousarray(screen, np.float32), lights, image)
    assert covered[16, 16]
    assert image[16, 16].tolist() == [0, 255, 0]
    assert depth[16, 16] == pytest.approx(100)


def test_the_imitated_detector_errs_like_one_and_not_at_all_at_strength_zero(scene: Scene) -> None:
    act, rng = scene.act(20), np.random.default_rng(0)
    exact = np.stack([scene.camera.landmarks(scene.person.pose(act, k)[1]) for k in range(20)])
    model = DetectorModel.load()
    own = model.person_error(rng)
    np.testing.assert_array_equal(model.detect(exact, own, rng, 0.0), exact)
    seen = model.detect(exact, own, rng)
    unit = np.linalg.norm(exact[:, 33, :2] - exact[:, 263, :2], axis=1).mean()
    error = np.linalg.norm(seen - exact, axis=2)[:, :, None] / unit
    assert 0.01 < error.mean() < 0.12
    jitter = np.diff(seen - exact, axis=0)
    assert 0.001 < np.abs(jitter).mean() / unit < 0.03, "it moves from frame to frame, but less than it is off"


def test_every_triangle_of_the_skin_faces_outwards_at_rest() -> None:
    from training.heads.person import FACE_TRIANGLES

    a, b, c = (SKIN[FACE_TRIANGLES[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).mean() > 0.9
    assert len(FACE_TRIANGLES) == len(TRIANGLES)
