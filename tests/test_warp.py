"""The portrait moves: nothing changes at rest, every part follows its landmarks, and hidden things stay plausible."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar_sdk.motion import Motion
from avatar_sdk.motion.regions import JAW, LOWER_LIP
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait
from avatar_sdk.runtime import load_runtime
from avatar_sdk.topology import EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT, LANDMARKS, LIPS_INNER, OVAL, TRIANGLES
from avatar_sdk.warp import CROP_PX, POSE_MAPS, Warp
from avatar_sdk.warp.raster import FAR, soften_outlines

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def portrait(sample_portrait: Path) -> Portrait:
    return load_portrait(sample_portrait, PortraitConfig(width_px=256, height_px=256, framing=2.2))


@pytest.fixture(scope="module")
def warp(portrait: Portrait) -> Warp:
    return Warp(portrait)


def rigid(
    portrait: Portrait, *, yaw_deg: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> Motion:
    """The portrait's head turned about the middle of its face and moved."""
    angle = np.radians(yaw_deg)
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    centre = portrait.landmarks.mean(0)
    translation = centre + np.array([*shift, 0.0]) - scale * rotation @ centre
    moved = scale * portrait.landmarks @ rotation.T + translation
    return Motion(moved.astype(np.float32), scale, rotation.astype(np.float32), translation.astype(np.float32))


def expression(portrait: Portrait, moves: dict[int, tuple[float, float]]) -> Motion:
    """Single landmarks displaced, the head at rest."""
    landmarks = portrait.landmarks.copy()
    for index, move in moves.items():
        landmarks[index, :2] += move
    return Motion(landmarks, 1.0, np.eye(3, dtype=np.float32), np.zeros(3, np.float32))


def opened_mouth(portrait: Portrait, gap: float) -> Motion:
    """Lower lip and chin dropped by `gap`, in distances between the outer eye corners."""
    unit = float(np.linalg.norm(portrait.landmarks[33] - portrait.landmarks[263]))
    moves = {int(i): (0.0, gap * unit) for i in JAW}
    for lip in LOWER_LIP:
        arch = np.sin(np.linspace(0, np.pi, len(lip) + 2))[1:-1]
        moves |= {int(i): (0.0, gap * unit * a) for i, a in zip(lip, arch, strict=True)}
    return expression(portrait, moves)


def changed(a: Pixels, b: Pixels) -> NDArray[np.int64]:
    return np.abs(a.astype(int) - b).max(-1)


def test_at_rest_the_portrait_is_shown_as_it_is(portrait: Portrait, warp: Warp) -> None:
    assert changed(warp.image(rigid(portrait)), portrait.image).max() <= 1


def test_a_step_makes_the_same_picture_as_the_plain_path(portrait: Portrait, warp: Warp) -> None:
    motion = rigid(portrait, yaw_deg=12, shift=(5, 3))
    np.testing.assert_array_equal(warp.step(motion).image, warp.image(motion))


def test_a_face_that_moves_takes_its_pixels_along(portrait: Portrait, warp: Warp) -> None:
    moved = warp.image(rigid(portrait, shift=(12, -7)))
    x, y = portrait.landmarks[1, :2].round().astype(int)
    there = moved[y - 7 - 8 : y - 7 + 8, x + 12 - 8 : x + 12 + 8]
    here = portrait.image[y - 8 : y + 8, x - 8 : x + 8]
    assert changed(there, here).max() <= 3


def test_the_background_stays_where_it_is(portrait: Portrait, warp: Warp) -> None:
    moved = warp.image(rigid(portrait, yaw_deg=-20, shift=(-10, 4)))
    far = np.zeros((256, 256), bool)
    far[:100, :40] = far[:100, -40:] = True
    np.testing.assert_array_equal(moved[far], portrait.background[far])


def test_the_warped_iris_follows_while_the_lids_stay(portrait: Portrait, warp: Warp) -> None:
    width = float(np.linalg.norm(portrait.landmarks[33] - portrait.landmarks[133]))
    step = 0.07 * width
    image = warp.image(expression(portrait, {int(i): (step, 0.0) for i in (*IRIS_RIGHT, *IRIS_LEFT)}))
    for iris, lids in ((IRIS_RIGHT, EYE_RIGHT), (IRIS_LEFT, EYE_LEFT)):
        left, top = np.floor(portrait.landmarks[lids, :2].min(0)).astype(int)
        right, bottom = np.ceil(portrait.landmarks[lids, :2].max(0)).astype(int)
        middle = round(float(portrait.landmarks[iris[0], 1]))

        def dark(picture: Pixels, row: int = middle, start: int = left, stop: int = right) -> float:
            weight = 255 - picture[row - 1 : row + 2, start:stop].mean((0, 2))
            weight = np.clip(weight - np.median(weight), 0, None)
            return float((weight * np.arange(len(weight))).sum() / weight.sum())

        assert 0.3 * step < dark(image) - dark(portrait.image) < 1.7 * step
        above = np.s_[top - 8 : top - 3, left:right]
        assert changed(image[above], portrait.image[above]).max() <= 2
        assert bottom > top


def test_slightly_parted_lips_keep_the_portraits_own_pixels(portrait: Portrait, warp: Warp) -> None:
    motion = opened_mouth(portrait, 0.01)
    before = warp.image(motion)
    painted = before.copy()
    warp._mouth.paint(painted, motion)
    np.testing.assert_array_equal(painted, before)


def test_an_open_mouth_is_dark_inside_and_painted_nowhere_else(portrait: Portrait, warp: Warp) -> None:
    motion = opened_mouth(portrait, 0.3)
    image = warp.image(motion)
    upper, lower = motion.landmarks[13, :2], motion.landmarks[14, :2]
    x, y = (0.4 * upper + 0.6 * lower).round().astype(int)
    lips = portrait.image[round(float(portrait.landmarks[14, 1])) + 3, x].astype(int)
    assert image[y, x].astype(int).sum() < 0.75 * lips.sum()
    low, high = motion.landmarks[LIPS_INNER, :2].min(0) - 4, motion.landmarks[LIPS_INNER, :2].max(0) + 5
    canvas = np.zeros_like(image)
    warp._mouth.paint(canvas, motion)
    rows, columns = np.nonzero(canvas.any(-1))
    assert low[0] <= columns.min()
    assert columns.max() <= high[0]
    assert low[1] <= rows.min()
    assert rows.max() <= high[1]


def test_an_eye_at_rest_is_never_painted(portrait: Portrait, warp: Warp) -> None:
    canvas = np.zeros_like(portrait.image)
    warp._eyes.paint(canvas, rigid(portrait, yaw_deg=15, scale=1.1))
    assert not canvas.any()


@pytest.mark.parametrize("yaw_deg", [-45, -25, 25, 45])
def test_a_turned_head_tears_nowhere_and_shows_its_nearest_surface(
    portrait: Portrait, warp: Warp, yaw_deg: float
) -> None:
    motion = rigid(portrait, yaw_deg=yaw_deg)
    warp.image(motion)
    face = np.zeros((256, 256), np.uint8)
    cv2.fillPoly(face, [cv2.convexHull(motion.landmarks[OVAL, :2]).round().astype(np.int32)], 1)
    inside = cv2.erode(face, np.ones((5, 5), np.uint8)) > 0
    assert (warp._depth[inside] < FAR).all()
    nose, far_ear = motion.landmarks[1], motion.landmarks[454 if yaw_deg > 0 else 234]
    x, y = nose[:2].round().astype(int)
    width = float(np.ptp(portrait.landmarks[OVAL, 0]))
    assert warp._depth[y, x] == pytest.approx(nose[2], abs=0.03 * width)
    x, y = far_ear[:2].round().astype(int)
    assert warp._depth[y, x] <= far_ear[2] + 0.05 * width


def test_the_other_side_stands_in_only_for_what_a_turned_portrait_hides(portrait: Portrait, warp: Warp) -> None:
    assert (warp._corners == warp._triangles).all(), "a frontal portrait hides nothing"
    landmarks = rigid(portrait, yaw_deg=40).landmarks
    turned = Warp(replace(portrait, landmarks=landmarks))
    borrowed = (turned._corners != turned._triangles).any(1)
    assert borrowed.any()
    side = portrait.landmarks[TRIANGLES].mean(1)[:, 0] - portrait.landmarks[1, 0]
    table = {tuple(t): s for t, s in zip(TRIANGLES.tolist(), side.tolist(), strict=True)}
    sides = np.array([np.sign(table[tuple(t)]) for t in turned._triangles[borrowed].tolist()])
    far = np.sign(landmarks[234, 2] - landmarks[454, 2]) * np.sign(
        portrait.landmarks[234, 0] - portrait.landmarks[1, 0]
    )
    assert (sides == far).mean() > 0.85, "what is borrowed lies on the far half, but for the ridge of the nose"


def test_the_outline_of_a_turned_face_has_no_stairs() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 200
    map_x, map_y = np.meshgrid(np.arange(16, dtype=np.float32), np.arange(16, dtype=np.float32))
    depth = np.zeros((16, 16), np.float32)
    smooth = image.copy()
    soften_outlines(smooth, map_x, map_y, depth, np.float32(5))
    np.testing.assert_array_equal(smooth, image)
    map_x[:, 8:] += 40
    soften_outlines(smooth, map_x, map_y, depth, np.float32(5))
    assert 0 < smooth[8, 7, 0] < 200
    np.testing.assert_array_equal(smooth[:, :6], image[:, :6])


def test_the_chin_and_the_neck_move_without_a_step(portrait: Portrait, warp: Warp) -> None:
    motion = rigid(portrait, yaw_deg=20, shift=(8, 0))
    warp.image(motion)
    x = round(float(motion.landmarks[152, 0]))
    y = round(float(motion.landmarks[152, 1]))
    column = np.stack([warp._map_x[y - 10 : y + 40, x], warp._map_y[y - 10 : y + 40, x]], 1)
    assert np.abs(np.diff(column, axis=0)).max() < 3.5


def test_tracked_shoulders_move_the_body_and_not_the_face(portrait: Portrait, warp: Warp) -> None:
    rest = rigid(portrait)
    shrug = Motion(
        rest.landmarks, 1.0, rest.head_rotation, rest.head_translation, np.array([[0, -9], [0, -9]], np.float32)
    )
    image = warp.image(shrug)
    x, y = portrait.landmarks[1, :2].round().astype(int)
    assert changed(image[y - 20 : y + 20, x - 20 : x + 20], portrait.image[y - 20 : y + 20, x - 20 : x + 20]).max() <= 2
    warp.image(shrug)
    at = warp._map_y[250, 128] - portrait.margin_px
    assert at == pytest.approx(259, abs=2.5)


def test_a_head_that_leaves_the_frame_is_no_error(portrait: Portrait, warp: Warp) -> None:
    for shift in ((900.0, 0.0), (-900.0, 50.0), (0.0, -700.0)):
        frame = warp.step(rigid(portrait, shift=shift, scale=2.5))
        assert frame.image.shape == portrait.image.shape


def test_frames_are_never_written_again(portrait: Portrait, warp: Warp) -> None:
    first = warp.step(rigid(portrait, shift=(4, 0)))
    kept = [array.copy() for array in (first.image, first.crop, first.maps, first.gate)]
    for yaw in (5, 10, 15, 20):
        warp.step(rigid(portrait, yaw_deg=yaw))
    for array, copy in zip((first.image, first.crop, first.maps, first.gate), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_the_crop_follows_the_head(portrait: Portrait, warp: Warp) -> None:
    rest = warp.step(rigid(portrait))
    moved = warp.step(rigid(portrait, shift=(15, -9), scale=1.2))
    assert rest.crop.shape == (CROP_PX, CROP_PX, 3)
    for motion, frame in ((rigid(portrait), rest), (rigid(portrait, shift=(15, -9), scale=1.2), moved)):
        nose = motion.landmarks[1, :2] @ frame.crop_affine[:, :2].T + frame.crop_affine[:, 2]
        expected = portrait.landmarks[1, :2] @ rest.crop_affine[:, :2].T + rest.crop_affine[:, 2]
        np.testing.assert_allclose(nose, expected, atol=0.5)


def test_the_maps_say_where_things_are(portrait: Portrait, warp: Warp) -> None:
    motion = opened_mouth(portrait, 0.3)
    frame = warp.step(motion)
    maps = dict(zip(POSE_MAPS, frame.maps, strict=True))
    assert frame.maps.shape == (len(POSE_MAPS), CROP_PX, CROP_PX)

    def at(name: str, place: Floats) -> int:
        x, y = (place[:2] @ frame.crop_affine[:, :2].T + frame.crop_affine[:, 2]).round().astype(int)
        return int(maps[name][y, x])

    points = motion.landmarks
    inside = (points[13] + points[14]) / 2
    assert at("inner_mouth", inside) == 255
    assert at("lips", inside) == 0
    assert at("lips", (points[14] + points[17]) / 2) == 255
    assert at("eyes", points[468]) == 255
    assert at("iris", points[468]) == 255
    assert at("eyes", points[1]) == 0
    assert at("face", points[1]) == 255
    assert at("visibility", points[1]) == 255
    assert abs(at("stretch", points[9]) - 128) < 12, "the forehead is not stretched"


def test_the_gate_opens_where_the_face_differs_from_the_portrait(portrait: Portrait, warp: Warp) -> None:
    assert warp.step(rigid(portrait, shift=(6, 2))).gate.max() == 0, "a face at rest needs no help"
    frame = warp.step(opened_mouth(portrait, 0.3))
    chin = portrait.landmarks[200, :2] + (0, 10)
    x, y = (chin @ frame.crop_affine[:, :2].T + frame.crop_affine[:, 2]).round().astype(int)
    assert frame.gate[y, x] > 150
    assert frame.gate[:2].max() < 20, "the edge is feathered"
    eye = (portrait.landmarks[468, :2] @ frame.crop_affine[:, :2].T + frame.crop_affine[:, 2]).round().astype(int)
    assert frame.gate[eye[1], eye[0]] < 20


def test_lips_as_open_as_the_portraits_keep_what_the_photo_shows(portrait: Portrait, warp: Warp) -> None:
    def gate(motion: Motion, place: Floats) -> int:
        frame = warp.step(motion)
        x, y = (place[:2] @ frame.crop_affine[:, :2].T + frame.crop_affine[:, 2]).round().astype(int)
        return int(frame.gate[y, x])

    turned, opened = rigid(portrait, yaw_deg=25), opened_mouth(portrait, 0.3)
    assert gate(turned, turned.landmarks[9]) > 200, "the rest of a turned face needs help"
    for lip in (0, 17):
        assert gate(turned, turned.landmarks[lip]) < 100
    assert gate(opened, opened.landmarks[17]) > 150


def test_the_runtime_without_a_network_shows_the_warp(portrait: Portrait, warp: Warp) -> None:
    runtime = load_runtime("warp")
    state = runtime.start(portrait)
    motion = rigid(portrait, yaw_deg=10)
    draft = runtime.predict(state, motion)
    np.testing.assert_array_equal(runtime.render(state, draft), warp.image(motion))
    assert set(draft.timings_us) == {"warp", "generator", "decode", "composite"}
    runtime.replace_portrait(state, portrait)
    runtime.close(state)
    runtime.close(state)


def test_the_mesh_is_a_disc_with_three_holes() -> None:
    edges = {frozenset(pair) for a, b, c in TRIANGLES.tolist() for pair in ((a, b), (b, c), (c, a))}
    vertices = np.unique(TRIANGLES)
    assert len(vertices) - len(edges) + len(TRIANGLES) == 1 - 3
    assert vertices.max() < LANDMARKS
    directed = [pair for a, b, c in TRIANGLES.tolist() for pair in ((a, b), (b, c), (c, a))]
    assert len(set(directed)) == len(directed), "all triangles turn the same way"
