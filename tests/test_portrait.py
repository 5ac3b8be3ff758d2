"""A photo becomes a portrait, or an error that says what is wrong with it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from avatar_client.errors import InvalidConfigError, InvalidPortraitError
from PIL import Image

from avatar_sdk.portrait import Background, BackgroundKind, PortraitConfig, PortraitReader, load_portrait

SMALL = PortraitConfig(width_px=256, height_px=256, framing=2.2)


@pytest.fixture(scope="module")
def reader() -> Iterator[PortraitReader]:
    with PortraitReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def face(sample_portrait: Path) -> Image.Image:
    return Image.open(sample_portrait).convert("RGB").resize((512, 512))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = b"IEND"
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + body
        + struct.pack(">I", zlib.crc32(body))
        + struct.pack(">I", 0)
        + end
        + struct.pack(">I", zlib.crc32(end))
    )


def animation() -> bytes:
    frames = [Image.new("RGB", (128, 128), colour) for colour in ("red", "blue")]
    return encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=100)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "empty"),
        (b"GIF89a not a picture at all", "not a JPEG"),
        (png_header(50_000, 50_000), "50000×50000|too large"),
        (png_header(20_000, 5_000), "20000×5000"),
        (animation(), "animation of 2 frames"),
        (b"\xff" * (8 * 2**20 + 1), "more than 8 MiB"),
        (encoded(Image.new("RGB", (16, 400))), "16×400"),
    ],
    ids=["empty", "not an image", "bomb", "100 megapixels", "animated", "over 8 MiB", "sliver"],
)
def test_a_file_that_cannot_be_a_photo_is_refused_by_name(data: bytes, named: str, reader: PortraitReader) -> None:
    with pytest.raises(InvalidPortraitError, match=named) as caught:
        load_portrait(data, SMALL, reader)
    assert caught.value.field == "portrait"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_photo_is_refused(format: str, face: Image.Image, reader: PortraitReader) -> None:
    data = encoded(face, format)
    with pytest.raises(InvalidPortraitError, match=r"damaged or cut off|not a JPEG"):
        load_portrait(data[: len(data) // 2], SMALL, reader)


def test_a_missing_file_is_refused_by_its_path(reader: PortraitReader, tmp_path: Path) -> None:
    with pytest.raises(InvalidPortraitError, match=r"nobody\.png"):
        load_portrait(tmp_path / "nobody.png", SMALL, reader)


def test_a_photo_without_a_face_is_refused(reader: PortraitReader) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    with pytest.raises(InvalidPortraitError, match="no face was found in the 300×200"):
        load_portrait(encoded(Image.fromarray(noise)), SMALL, reader)


def test_a_tiny_face_is_refused_with_its_size(face: Image.Image, reader: PortraitReader) -> None:
    scene = Image.new("RGB", (300, 300), (190, 200, 210))
    scene.paste(face.resize((80, 80)), (110, 110))
    with pytest.raises(InvalidPortraitError, match=r"only \d+ pixels|no face"):
        load_portrait(encoded(scene), SMALL, reader)


def test_of_several_faces_the_largest_is_taken(face: Image.Image, reader: PortraitReader) -> None:
    scene = Image.new("RGB", (900, 512), (190, 200, 210))
    scene.paste(face.resize((300, 300)), (0, 100))
    scene.paste(face, (388, 0))
    portrait = load_portrait(encoded(scene), SMALL, reader)
    assert portrait.faces == 2
    nose = (portrait.landmarks[1, :2] - portrait.affine[:, 2]) / portrait.affine[0, 0]
    assert nose[0] > 388


def test_a_reader_sees_the_same_face_however_the_photo_is_stored(face: Image.Image, reader: PortraitReader) -> None:
    plain = load_portrait(encoded(face), SMALL, reader)
    see_through = face.copy()
    see_through.putalpha(255)
    turned = face.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = {
        "RGBA": encoded(see_through),
        "CMYK": encoded(face.convert("CMYK"), "JPEG", quality=95),
        "grey": encoded(face.convert("L")),
        "16 bit": encoded(Image.fromarray(np.asarray(face.convert("L"), np.uint16) * 257)),
        "palette": encoded(face.quantize(256)),
        "rotated": encoded(turned, "JPEG", exif=exif, quality=95),
    }
    for name, data in stored.items():
        portrait = load_portrait(data, SMALL, reader)
        off = np.abs(portrait.landmarks - plain.landmarks)[:, :2].max()
        assert off < 8, f"{name}: landmarks differ by {off} px"
        assert portrait.image.shape == (256, 256, 3)


def test_a_webp_under_a_jpg_name_is_read(face: Image.Image, reader: PortraitReader, tmp_path: Path) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(encoded(face, "WEBP", quality=95))
    assert load_portrait(path, SMALL, reader).faces == 1


def test_the_affine_leads_from_the_photo_to_the_output(face: Image.Image, reader: PortraitReader) -> None:
    portrait = load_portrait(encoded(face), SMALL, reader)
    x, y = portrait.landmarks[1, :2]
    inside = (np.array([x, y]) - portrait.affine[:, 2]) / portrait.affine[0, 0]
    there = np.asarray(face)[round(inside[1]), round(inside[0])].astype(int)
    here = portrait.image[round(y), round(x)].astype(int)
    assert np.abs(there - here).max() < 12


def test_framing_says_how_much_is_seen(face: Image.Image, reader: PortraitReader) -> None:
    sizes = []
    for framing in (1.6, 2.2):
        portrait = load_portrait(encoded(face), PortraitConfig(width_px=256, height_px=256, framing=framing), reader)
        sizes.append(256 / np.ptp(portrait.landmarks[:, :2], axis=0).max())
    np.testing.assert_allclose(sizes, (1.6, 2.2), rtol=1e-3)


def test_a_portrait_is_made_in_any_shape(face: Image.Image, reader: PortraitReader) -> None:
    portrait = load_portrait(encoded(face), PortraitConfig(width_px=320, height_px=192), reader)
    assert portrait.image.shape == portrait.background.shape == (192, 320, 3)
    assert portrait.alpha.shape == (192, 320)
    assert portrait.person.shape == (192 + 2 * portrait.margin_px, 320 + 2 * portrait.margin_px, 4)


def test_the_face_is_person_and_the_corner_is_background(face: Image.Image, reader: PortraitReader) -> None:
    portrait = load_portrait(encoded(face), SMALL, reader)
    x, y = portrait.landmarks[1, :2].round().astype(int)
    assert portrait.alpha[y, x] == 255
    assert portrait.alpha[2, 2] == 0
    filled = portrait.background[y, x].astype(int)
    assert np.abs(filled - portrait.background[y, 4]).max() < 40, "no skin is left behind the face"


def test_the_background_can_be_replaced(face: Image.Image, reader: PortraitReader) -> None:
    sky = encoded(Image.new("RGB", (400, 100), (10, 20, 200)))
    backgrounds = {
        BackgroundKind.COLOR: Background(BackgroundKind.COLOR, color_rgb=(1, 2, 3)),
        BackgroundKind.IMAGE: Background(BackgroundKind.IMAGE, image=sky),
        BackgroundKind.BLUR: Background(BackgroundKind.BLUR),
    }
    seen = {}
    for kind, background in backgrounds.items():
        config = PortraitConfig(width_px=256, height_px=256, framing=2.2, background=background)
        portrait = load_portrait(encoded(face), config, reader)
        seen[kind] = portrait.image[2, 2].tolist()
        np.testing.assert_array_equal(portrait.image[2, 2], portrait.background[2, 2])
    assert seen[BackgroundKind.COLOR] == [1, 2, 3]
    assert seen[BackgroundKind.IMAGE] == [10, 20, 200]


def test_a_background_that_cannot_be_used_is_refused(face: Image.Image, reader: PortraitReader) -> None:
    with pytest.raises(InvalidConfigError, match="none was given"):
        Background(BackgroundKind.IMAGE)
    broken = PortraitConfig(background=Background(BackgroundKind.IMAGE, image=b"?"))
    with pytest.raises(InvalidConfigError, match=r"background\.image is not a JPEG"):
        load_portrait(encoded(face), broken, reader)


@pytest.mark.parametrize(
    ("values", "named"),
    [({"width_px": 333}, "333"), ({"height_px": 8}, "8"), ({"framing": 0.5}, "0.5")],
)
def test_a_size_out_of_range_is_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidConfigError, match=named):
        PortraitConfig(**values)


def test_every_real_portrait_is_read(media: Path, reader: PortraitReader) -> None:
    for path in sorted((media / "portraits").iterdir()):
        portrait = load_portrait(path, reader=reader)
        assert portrait.image.shape == (512, 512, 3)
        assert portrait.faces >= 1
