"""Slots, and the two half-steps."""

from __future__ import annotations

import numpy as np
import pytest
from avatar_client.errors import NoCapacityError
from service import POSES, photo

from avatar_sdk.engine import Engine, EngineConfig
from avatar_sdk.portrait import Portrait, PortraitConfig, load_portrait

STEP_US = 41_667


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return load_portrait(photo(), PortraitConfig(width_px=128, height_px=128))


@pytest.fixture
def engine() -> Engine:
    return Engine.load(EngineConfig(model="warp", slots=2))


def test_slots_are_counted_and_given_back_once(engine: Engine, portrait: Portrait) -> None:
    first, second = engine.open(portrait), engine.open(portrait)
    with pytest.raises(NoCapacityError, match="all 2 slots"):
        engine.open(portrait)
    engine.close(first)
    engine.close(first)
    assert engine.free_slots == 1
    engine.close(second)
    assert engine.free_slots == 2


def test_an_avatar_that_could_not_start_keeps_no_slot(
    engine: Engine, portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(engine.runtime, "start", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine.open(portrait)
    assert engine.free_slots == 2


def test_a_warm_up_leaves_the_slots_free(engine: Engine, portrait: Portrait) -> None:
    engine.warm_up(portrait)
    assert engine.free_slots == 2


def test_two_halves_make_the_whole_step(engine: Engine, portrait: Portrait) -> None:
    whole, halves = engine.open(portrait), engine.open(portrait)
    waiting = None
    for k in range(6):
        expected = engine.step(whole, POSES[k], k * STEP_US)
        draft = engine.advance(halves, POSES[k], k * STEP_US)
        if waiting is not None:  # the second half of a frame runs while the first half of the next one does
            picture = engine.finish(halves, waiting[0])
            np.testing.assert_array_equal(picture.image, waiting[1].image)
            assert {"motion", "warp", "generator", "decode", "composite"} <= set(picture.timings_us)
        waiting = draft, expected


def test_interleaved_avatars_are_each_as_if_alone(engine: Engine, portrait: Portrait) -> None:
    alone = engine.open(portrait)
    expected = [engine.step(alone, POSES[k], k * STEP_US).image for k in range(4)]
    engine.close(alone)
    one, other = engine.open(portrait), engine.open(portrait)
    for k in range(4):
        picture = engine.step(one, POSES[k], k * STEP_US)
        engine.step(other, POSES[50 + 2 * k], k * STEP_US)
        np.testing.assert_array_equal(picture.image, expected[k])


def test_a_new_portrait_keeps_the_drivers_calibration(engine: Engine, portrait: Portrait) -> None:
    avatar = engine.open(portrait)
    for k in range(3):
        engine.step(avatar, POSES[k], k * STEP_US)
    neutral = avatar.motion.neutral
    mirrored = load_portrait(photo(300), PortraitConfig(width_px=192, height_px=192))
    engine.replace_portrait(avatar, mirrored)
    picture = engine.step(avatar, None, 3 * STEP_US)
    assert picture.image.shape == (192, 192, 3)
    assert avatar.motion.neutral is neutral
