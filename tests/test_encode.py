"""What goes out can be read again, and says that a machine made it."""

from __future__ import annotations

import av
import numpy as np
import pytest
import simplejpeg
from avatar_client.errors import InvalidConfigError

from avatar_sdk.badge import draw_badge
from avatar_sdk.encode import Encoding, H264Encoder, make_encoder


def picture(shift: int = 0) -> np.ndarray:
    y, x = np.mgrid[:96, :128]
    return np.stack([(x + shift) * 2 % 256, y * 2, 128 + 0 * x], -1).astype(np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def test_jpeg_frames_stand_alone() -> None:
    encoded = make_encoder(Encoding.JPEG, quality=90).encode(picture())
    assert encoded.key
    assert psnr(simplejpeg.decode_jpeg(encoded.data), picture()) > 25


def test_raw_frames_are_the_picture_itself() -> None:
    assert make_encoder(Encoding.RGB).encode(picture()).data == picture().tobytes()


def test_h264_gives_every_frame_at_once_and_starts_with_a_key_frame() -> None:
    encoder, decoder = make_encoder(Encoding.H264), av.CodecContext.create("h264", "r")
    keys, shown = [], []
    for k in range(12):
        encoded = encoder.encode(picture(k))
        assert encoded.data.startswith(b"\0\0\0\1")
        keys.append(encoded.key)
        for packet in decoder.parse(encoded.data):
            shown += [frame.to_ndarray(format="rgb24") for frame in decoder.decode(packet)]
    shown += [frame.to_ndarray(format="rgb24") for frame in decoder.decode(None)]
    assert keys == [True] + [False] * 11
    assert len(shown) >= 11
    assert psnr(shown[-1], picture(len(shown) - 1)) > 20


def test_a_key_frame_comes_when_it_is_asked_for() -> None:
    encoder = H264Encoder()
    keys = []
    for k in range(6):
        if k == 3:
            encoder.request_key()
        keys.append(encoder.encode(picture(k)).key)
    assert keys == [True, False, False, True, False, False]


@pytest.mark.parametrize(("encoding", "options"), [(Encoding.JPEG, {"quality": 101}), (Encoding.H264, {"bit_rate": 3})])
def test_a_setting_out_of_range_is_named(encoding: Encoding, options: dict[str, int]) -> None:
    (name, value), *_ = options.items()
    with pytest.raises(InvalidConfigError, match=f"{name} is {value}"):
        make_encoder(encoding, **options)


@pytest.mark.parametrize("side", [128, 256, 512])
def test_the_badge_is_seen_in_its_corner_and_nowhere_else(side: int) -> None:
    image = np.full((side, side, 3), 128, np.uint8)
    draw_badge(image)
    changed = np.argwhere((image != 128).any(-1))
    assert len(changed) > 0.0005 * side * side
    assert changed.min() > 0.8 * side
    assert image.max() > 200
    assert image.min() < 90


def test_a_picture_too_small_for_the_badge_stays_as_it_is() -> None:
    image = np.full((12, 12, 3), 128, np.uint8)
    draw_badge(image)
    assert (image == 128).all()
