"""The small maths under the motion."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_sdk.motion.rigid import SimilarityFit, limit, rotation_matrix, rotation_vector
from avatar_sdk.motion.smoothing import OneEuroFilter

components = st.floats(-1.7, 1.7)


@given(components, components, components)
def test_a_rotation_survives_the_way_through_its_vector(x: float, y: float, z: float) -> None:
    matrix = rotation_matrix(np.array([x, y, z]))
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert rotation_vector(matrix) == pytest.approx([x, y, z], abs=1e-5)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, -2, 3]])
def test_half_a_turn_has_an_axis(axis: list[float]) -> None:
    half_turn = rotation_matrix(math.pi * np.array(axis) / np.linalg.norm(axis))
    assert rotation_matrix(rotation_vector(half_turn)) == pytest.approx(half_turn, abs=1e-6)


@given(st.floats(0.1, 10), components, components, components, st.integers(0, 1000))
def test_a_similarity_is_found_again(scale: float, x: float, y: float, z: float, seed: int) -> None:
    noise = np.random.default_rng(seed)
    source, place = noise.normal(size=(12, 3)), noise.normal(size=3)
    rotation = rotation_matrix(np.array([x, y, z]))
    found = SimilarityFit(source).to(scale * source @ rotation.T + place)
    assert found.scale == pytest.approx(scale)
    assert found.rotation == pytest.approx(rotation, abs=1e-6)
    assert found.translation == pytest.approx(place, abs=1e-5)


def test_a_mirrored_face_is_never_explained_by_a_reflection() -> None:
    source = np.random.default_rng(0).normal(size=(12, 3))
    assert np.linalg.det(SimilarityFit(source).to(source * [-1, 1, 1]).rotation) == pytest.approx(1)


@given(st.floats(-1e6, 1e6))
def test_a_limit_bends_only_beyond_its_knee(value: float) -> None:
    bent = limit(value, 1.0, 1.5)
    assert abs(bent) <= 1.5
    assert bent == value if abs(value) <= 1 else 1 <= abs(bent) <= abs(value)


def test_the_filter_leaves_a_constant_alone_and_lags_less_in_fast_motion() -> None:
    def lag(speed: float) -> float:
        smooth = OneEuroFilter(np.ones(1, np.float32), np.full(1, 10, np.float32))
        state = smooth.start(np.zeros(1, np.float32))
        for frame in range(1, 100):
            value = smooth.step(state, np.full(1, speed * frame / 25, np.float32), 1 / 25)
        return float(speed * 99 / 25 - value[0]) / speed

    constant = OneEuroFilter(np.ones(1, np.float32), np.ones(1, np.float32))
    state = constant.start(np.full(1, 3, np.float32))
    assert constant.step(state, np.full(1, 3, np.float32), 0.04)[0] == 3
    assert lag(5.0) < 0.3 * lag(0.05)
