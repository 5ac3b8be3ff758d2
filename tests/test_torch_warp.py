"""The warp in torch is the CPU's: the same pictures, crops, maps and gates, for several portraits at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from avatar_client.pose_file import PoseReader
from numpy.typing import NDArray

from avatar_sdk.motion import Motion, Retargeter
from avatar_sdk.motion.regions import JAW, LOWER_LIP
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait
from avatar_sdk.runtime.guide import at_rest
from avatar_sdk.topology import EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT
from avatar_sdk.warp import CROP_PX, POSE_MAPS, Warp, WarpedFrame, composite, tables_of
from avatar_sdk.warp.raster import FAR
from avatar_sdk.warp.raster import rasterise as rasterise_on_cpu

torch = pytest.importorskip("torch", reason="the batched warp needs torch; install the extra `train` or `gpu`")

from avatar_sdk.runtime.torch import drawing  # noqa: E402
from avatar_sdk.runtime.torch.composite import Compositor  # noqa: E402
from avatar_sdk.runtime.torch.geometry import MeshMotion, MotionRows, interpolate  # noqa: E402
from avatar_sdk.runtime.torch.photos import Photos  # noqa: E402
from avatar_sdk.runtime.torch.raster import capacity, interpolated, rasterise  # noqa: E402
from avatar_sdk.runtime.torch.warp import BatchWarp, WarpRows  # noqa: E402

SIDE = 192


@pytest.fixture(scope="module")
def portraits(sample_portrait: Path) -> list[Portrait]:
    return [load_portrait(sample_portrait, PortraitConfig(SIDE, SIDE, framing=framing)) for framing in (2.2, 3.2)]


@pytest.fixture(scope="module")
def warps(portraits: list[Portrait]) -> list[Warp]:
    return [Warp(portrait) for portrait in portraits]


@pytest.fixture(scope="module")
def photos(warps: list[Warp]) -> Photos:
    held = Photos(3, SIDE, SIDE, warps[0].portrait.margin_px, "cpu")
    for slot, warp in enumerate(warps):
        held.put(slot, tables_of(warp))
    return held


def rows_of(motions: list[Motion]) -> MotionRows:
    def stacked(values: list[object]) -> torch.Tensor:
        return torch.tensor(np.stack([np.asarray(value, np.float32) for value in values]))

    none = np.zeros((2, 2), np.float32)
    return MotionRows(
        stacked([m.landmarks for m in motions]),
        stacked([m.head_scale for m in motions]),
        stacked([m.head_rotation for m in motions]),
        stacked([m.head_translation for m in motions]),
        stacked([none if m.shoulders is None else m.shoulders for m in motions]),
        stacked([m.shoulders is not None for m in motions]),
    )


def turned(portrait: Portrait, yaw_deg: float, scale: float = 1.0) -> Motion:
    angle = np.radians(yaw_deg)
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    centre = portrait.landmarks.mean(0)
    translation = centre - scale * rotation @ centre
    moved = scale * portrait.landmarks @ rotation.T + translation
    return Motion(moved.astype(np.float32), scale, rotation.astype(np.float32), translation.astype(np.float32))


def opened_mouth(portrait: Portrait) -> Motion:
    landmarks = portrait.landmarks.copy()
    unit = float(np.linalg.norm(landmarks[33] - landmarks[263]))
    landmarks[JAW, 1] += 0.3 * unit
    for lip in LOWER_LIP:
        landmarks[lip, 1] += 0.3 * unit * np.sin(np.linspace(0, np.pi, len(lip) + 2))[1:-1]
    return replace(at_rest(portrait), landmarks=landmarks)


def widened_eyes(portrait: Portrait) -> Motion:
    landmarks = portrait.landmarks.copy()
    for lids, iris in ((EYE_RIGHT, IRIS_RIGHT), (EYE_LEFT, IRIS_LEFT)):
        width = float(np.linalg.norm(landmarks[lids[0]] - landmarks[lids[8]]))
        landmarks[lids[1:8], 1] -= 0.12 * width
        landmarks[iris, 0] += 0.15 * width
    return replace(at_rest(portrait), landmarks=landmarks)


@pytest.fixture(scope="module")
def motions(portraits: list[Portrait], sample_poses: Path) -> dict[str, list[Motion]]:
    """What is hard → one motion per portrait."""
    driven = []
    for portrait in portraits:
        retargeter = Retargeter(portrait.landmarks)
        state, poses = retargeter.start(), PoseReader(sample_poses)
        driven.append([retargeter.step(state, poses[40 * k], 41_667 * k) for k in range(5)][-1])
    shoulders = np.array([[3, -2], [-4, 5]], np.float32)
    return {
        "rest": [at_rest(p) for p in portraits],
        "driven": driven,
        "turned": [turned(p, 35, 1.1) for p in portraits],
        "shoulders": [replace(turned(p, -15), shoulders=shoulders) for p in portraits],
        "mouth": [opened_mouth(p) for p in portraits],
        "eyes": [widened_eyes(p) for p in portraits],
        "outside": [turned(p, 10, 2.5) for p in portraits],
    }


KINDS = ("rest", "driven", "turned", "shoulders", "mouth", "eyes", "outside")


def step(photos: Photos, motions: list[Motion]) -> WarpRows:
    with torch.inference_mode():
        return BatchWarp(photos).step(rows_of(motions), torch.arange(len(motions)))


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_crops_maps_and_gates_are_the_cpus(
    kind: str, photos: Photos, warps: list[Warp], motions: dict[str, list[Motion]]
) -> None:
    shown = step(photos, motions[kind])
    assert int(shown.needed.max()) <= BatchWarp(photos).tiles
    for row, (warp, motion) in enumerate(zip(warps, motions[kind], strict=True)):
        expected = warp.step(motion)
        image = shown.image[row].permute(1, 2, 0).numpy()
        assert np.abs(image - expected.image).mean() <= 0.1
        np.testing.assert_allclose(shown.crop.affine[row].numpy(), expected.crop_affine, atol=1e-3)
        guide = np.concatenate([expected.crop.transpose(2, 0, 1), expected.maps]).astype(np.float32)
        for name, ours, theirs in zip(("r", "g", "b", *POSE_MAPS), shown.crop.guide[row].numpy(), guide, strict=True):
            assert np.abs(ours - theirs).mean() <= 1.0, name
        assert np.abs(shown.crop.gate[row].numpy() - expected.gate).mean() <= 0.5


@pytest.mark.parametrize(("kind", "part"), [("mouth", (78, 308, 13, 14)), ("eyes", (33, 133, 159, 145))])
def test_what_is_painted_is_painted_alike(
    kind: str, part: tuple[int, ...], photos: Photos, warps: list[Warp], motions: dict[str, list[Motion]]
) -> None:
    shown = step(photos, motions[kind])
    for row, (warp, motion) in enumerate(zip(warps, motions[kind], strict=True)):
        places = motion.landmarks[list(part), :2]
        (x0, y0), (x1, y1) = places.min(0).astype(int), places.max(0).astype(int) + 1
        image = shown.image[row].permute(1, 2, 0).numpy()[y0:y1, x0:x1]
        plain = Warp(warp.portrait, painted_mouth=False)
        plain._eyes.paint = lambda image, motion: None  # type: ignore[method-assign]
        unpainted = plain.image(motion)[y0:y1, x0:x1].astype(float)
        expected = warp.image(motion)[y0:y1, x0:x1].astype(float)
        painted = np.abs(expected - unpainted).mean()
        assert painted > 5
        assert np.abs(image - expected).mean() < 0.15 * painted


def test_a_portrait_without_painted_mouth_gets_none(
    portraits: list[Portrait], motions: dict[str, list[Motion]]
) -> None:
    plain = Warp(portraits[0], painted_mouth=False)
    held = Photos(2, SIDE, SIDE, portraits[0].margin_px, "cpu")
    held.put(0, tables_of(plain))
    shown = step(held, motions["mouth"][:1]).image[0].permute(1, 2, 0).numpy()
    assert np.abs(shown - plain.image(motions["mouth"][0])).mean() <= 0.1


def test_sessions_do_not_see_each_other(photos: Photos, motions: dict[str, list[Motion]]) -> None:
    first, second = motions["driven"]
    together, alone = step(photos, [first, second]), step(photos, [first])
    np.testing.assert_array_equal(together.image[0].numpy(), alone.image[0].numpy())
    np.testing.assert_allclose(together.crop.guide[0].numpy(), alone.crop.guide[0].numpy(), atol=1.0)


def test_the_mesh_moves_as_on_the_cpu(photos: Photos, warps: list[Warp], motions: dict[str, list[Motion]]) -> None:
    rows = photos.rows(torch.arange(2))
    for kind in KINDS:
        moved = MeshMotion("cpu").move(rows_of(motions[kind]), rows)
        for row, warp in enumerate(warps):
            np.testing.assert_allclose(moved[row].numpy(), warp.mesh.move(motions[kind][row]), atol=2e-3, err_msg=kind)


def test_the_nearest_triangle_wins_and_the_first_of_equals() -> None:
    points = torch.tensor([[[0.0, 0, 5], [20, 0, 5], [0, 20, 5], [0, 0, 1], [10, 0, 9], [0, 10, 9], [9, 9, 5]]])
    triangles = torch.tensor([[[0, 1, 2], [3, 4, 5], [0, 1, 2], [6, 6, 6]]])
    triangle = rasterise(points, triangles, 16, 24, 64).triangle.reshape(16, 24)
    assert int(triangle[0, 0]) == 1  # nearer at this corner
    assert int(triangle[0, 9]) == 0  # further at the other
    assert int(triangle[2, 14]) == 0
    assert int(triangle[15, 23]) == 4  # nobody
    assert 2 not in triangle


def test_random_triangles_fall_where_the_cpu_puts_them() -> None:
    generator = np.random.default_rng(3)
    points = (generator.uniform(-10, 58, (60, 3))).astype(np.float32)
    triangles = generator.integers(0, 60, (40, 3)).astype(np.int32)
    source = generator.uniform(0, 100, (60, 2)).astype(np.float32)
    map_x, map_y, depth = (np.zeros((40, 48), np.float32) for _ in range(3))
    rasterise_on_cpu(points, triangles, source, triangles, map_x, map_y, depth)
    own_points, own_triangles = torch.tensor(points)[None], torch.tensor(triangles.astype(np.int64))[None]
    winners = rasterise(own_points, own_triangles, 40, 48, 40 * 30)
    places = torch.tensor(source[triangles]).transpose(1, 2)[None]
    found = interpolated(own_points, own_triangles, places, winners, 40, 48)[0].reshape(40, 48, 2).numpy()
    seen = (winners.triangle[0] < 40).reshape(40, 48).numpy()
    assert (seen != (depth < FAR)).mean() < 0.002
    both = seen & (depth < FAR)
    off = np.abs(found[both] - np.stack([map_x, map_y], -1)[both]).max(-1)
    assert (off > 0.05).mean() < 0.005


def test_too_many_tiles_are_counted_and_the_last_triangles_left_out() -> None:
    points = torch.tensor([[[0.0, 0, 0], [31, 0, 0], [0, 31, 0]]])
    winners = rasterise(points, torch.tensor([[[0, 1, 2], [0, 1, 2]]]), 32, 32, 8)
    assert int(winners.needed[0]) == 32
    assert int((winners.triangle[0].reshape(32, 32)[16:] < 2).sum()) == 0
    assert capacity(512, 512, 1800) > 1.5 * 10_126  # the most that the sample poses needed


@pytest.mark.parametrize("seed", range(4))
def test_outlines_are_filled_as_opencv_fills_them(seed: int) -> None:
    generator = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 17)[:-1]
    reach = generator.uniform(8, 24, 16)
    outline = np.round((32 + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)) * 16)
    expected = np.zeros((64, 64), np.uint8)
    cv2.fillPoly(expected, [outline.astype(np.int32)], 255, cv2.LINE_AA, 4)
    filled = drawing.filled(torch.tensor(outline / 16, dtype=torch.float32)[None], 64, 64)[0].numpy()
    assert np.abs(filled - expected).mean() < 2.0
    assert np.abs(filled.sum() / expected.sum() - 1) < 0.02


def test_thin_lines_are_drawn_as_opencv_draws_them() -> None:
    for x, y in product((3.0, 11.5, 25.25), (4.0, 20.75)):
        line = np.array([[16.5, 12.25], [x, y]])
        expected = np.zeros((32, 32), np.uint8)
        cv2.polylines(expected, [np.round(line * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 4)
        edges = torch.tensor(line.reshape(1, 1, 4), dtype=torch.float32)
        drawn = 255 * drawing.lines(edges, torch.zeros(1, dtype=torch.int64), 1, 32, 32, 32)[0, 0].numpy()
        assert np.abs(drawn - expected).mean() < 0.03 * expected.sum() / (expected > 0).sum()


def test_interpolation_is_numpys() -> None:
    xs = np.array([0.0, 1, 1, 2.5, 4], np.float32)
    ys = np.array([3.0, 1, 5, 2, 9], np.float32)
    x = np.linspace(-1, 5, 25).astype(np.float32)
    found = interpolate(torch.tensor(x)[None], torch.tensor(xs)[None], torch.tensor(ys)[None])[0]
    np.testing.assert_allclose(found.numpy(), np.interp(x, xs, ys), atol=1e-6)


@pytest.mark.parametrize("scale", [0.5, 1.7])
def test_composites_are_the_cpus(scale: float) -> None:
    generator = np.random.default_rng(1)
    frame = WarpedFrame(
        image=generator.integers(0, 256, (96, 128, 3), np.uint8),
        crop=np.zeros((CROP_PX, CROP_PX, 3), np.uint8),
        maps=np.zeros((8, CROP_PX, CROP_PX), np.uint8),
        gate=generator.integers(0, 256, (CROP_PX, CROP_PX), np.uint8),
        crop_affine=np.array([[scale, 0.1, -20], [-0.1, scale, 7]], np.float32),
    )
    residual = cv2.GaussianBlur(generator.normal(0, 8, (CROP_PX, CROP_PX, 4)).astype(np.float32), (0, 0), 3)
    expected = composite(frame, residual)
    shown = Compositor(96, 128, "cpu").add(
        torch.tensor(frame.image.transpose(2, 0, 1))[None].float(),
        torch.tensor(residual.transpose(2, 0, 1))[None],
        torch.tensor(frame.gate)[None].float(),
        torch.tensor(frame.crop_affine)[None],
    )[0]
    off: NDArray[np.int64] = np.abs(shown.numpy().astype(int) - expected)
    assert np.abs(expected.astype(int) - frame.image).mean() > 1
    assert off.mean() < 0.3
    nothing = torch.full((1, 4, CROP_PX, CROP_PX), torch.nan)
    kept = Compositor(96, 128, "cpu").add(
        torch.tensor(frame.image.transpose(2, 0, 1))[None].float(),
        nothing,
        torch.full((1, CROP_PX, CROP_PX), 255.0),
        torch.tensor(frame.crop_affine)[None],
    )[0]
    np.testing.assert_array_equal(kept.numpy(), frame.image)
