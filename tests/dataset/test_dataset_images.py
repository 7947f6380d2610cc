from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, PngImagePlugin

from tasks.dataset.pixels.images import ImageError, decode, pixel_digest, resize

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14


def saved(tmp_path, image, name="image.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_rgb_comes_back_as_it_was_stored(tmp_path):
    pixels = decode(saved(tmp_path, Image.fromarray(RGB)))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, RGB)


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_grey_one_bit_and_palette_become_rgb(tmp_path, mode):
    image = Image.fromarray(RGB).convert(mode)
    pixels = decode(saved(tmp_path, image))
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))


def test_sixteen_bits_are_scaled_by_their_own_range_and_not_by_the_picture(tmp_path):
    values = np.array([[0, 255, 256], [32768, 65279, 65535]], dtype=np.uint16)
    for name in ("image.png", "image.tif"):
        pixels = decode(saved(tmp_path, Image.fromarray(values), name))
        np.testing.assert_array_equal(pixels, np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


def test_sixteen_bits_stored_as_32_are_read_and_more_is_refused(tmp_path):
    values = np.array([[0, 65535]], dtype=np.int32)
    assert decode(saved(tmp_path, Image.fromarray(values), "a.tif"))[0, :, 0].tolist() == [0, 255]
    with pytest.raises(ImageError, match="16 bits"):
        decode(saved(tmp_path, Image.fromarray(values * 2), "b.tif"))


def test_floating_point_must_lie_in_zero_to_one(tmp_path):
    values = np.array([[0, 0.5, 1]], dtype=np.float32)
    assert decode(saved(tmp_path, Image.fromarray(values), "a.tif"))[0, :, 0].tolist() == [0, 128, 255]
    for bad in (values * 2, values * np.nan):
        with pytest.raises(ImageError, match="0 to 1"):
            decode(saved(tmp_path, Image.fromarray(bad), "b.tif"))


def test_transparency_is_laid_on_black(tmp_path):
    rgba = np.dstack([np.full((1, 3, 3), 200, np.uint8), np.array([[0, 51, 255]], np.uint8)])
    assert decode(saved(tmp_path, Image.fromarray(rgba, "RGBA")))[0, :, 0].tolist() == [0, 40, 200]
    grey = Image.fromarray(rgba, "RGBA").convert("LA")
    assert decode(saved(tmp_path, grey))[0, :, 1].tolist() == [0, 40, 200]
    palette = Image.new("P", (2, 1))
    palette.putpalette([250, 10, 10, 20, 20, 240])
    palette.putpixel((1, 0), 1)
    assert decode(saved(tmp_path, palette, transparency=0))[0].tolist() == [[0, 0, 0], [20, 20, 240]]


def test_cmyk_becomes_rgb(tmp_path):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red, green, blue = decode(saved(tmp_path, image, "image.jpg", quality=95))[8, 8].astype(int)
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["image.png", "image.tif"])
def test_exif_orientation_is_applied_once(tmp_path, orientation, name):
    undo = {1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.transpose(1, 0, 2)}
    undo |= {6: np.rot90(RGB, -1), 7: RGB[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(RGB)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(saved(tmp_path, Image.fromarray(RGB), name, exif=exif))
    np.testing.assert_array_equal(pixels, undo[orientation])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_image(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(path), RGB)


def test_the_first_frame_of_an_animation_counts(tmp_path):
    first, second = Image.new("RGB", (4, 4), (255, 0, 0)), Image.new("RGB", (4, 4), (0, 0, 255))
    path = saved(tmp_path, first, "image.gif", save_all=True, append_images=[second])
    assert decode(path)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("name", ["image.png", "image.jpg", "image.tif", "image.bmp", "image.webp", "image.gif"])
def test_every_cut_of_a_file_fails_or_gives_the_whole_picture(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name.split(".")[1]))
    content = buffer.getvalue()
    path = tmp_path / name
    path.write_bytes(content)
    whole = decode(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError):
        decode(path)
    for cut in range(len(content) - 12, len(content)):
        path.write_bytes(content[:cut])
        try:
            np.testing.assert_array_equal(decode(path), whole)
        except ImageError:
            continue


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"just text", "not an image"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, ".")]
)
def test_files_that_are_no_images_say_why(tmp_path, content, reason):
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        decode(path)
    assert str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_broken_link_and_a_bomb_are_image_errors(tmp_path, monkeypatch):
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="not there"):
        decode(tmp_path / "link.png")
    path = saved(tmp_path, Image.new("L", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(ImageError, match="bomb"):
        decode(path)


def test_a_compressed_text_bomb_in_a_png_is_an_image_error(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 2_000_000, zip=True)
    with pytest.raises(ImageError):
        decode(saved(tmp_path, Image.fromarray(RGB), pnginfo=info))


@given(
    image=arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)), elements=st.integers(0, 255)
    ),
    size=st.integers(1, 16),
)
def test_resizing_gives_a_square_within_the_range_of_the_picture(image, size):
    small = resize(image, size)
    assert small.shape == (size, size, 3)
    assert small.dtype == np.uint8
    assert (small.min(axis=(0, 1)) >= image.min(axis=(0, 1))).all()
    assert (small.max(axis=(0, 1)) <= image.max(axis=(0, 1))).all()


def test_shrinking_averages_instead_of_dropping_pixels():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 254
    assert abs(resize(stripes, 8).astype(int) - 127).max() <= 20


def test_the_digest_follows_pixels_and_shape_and_nothing_else(tmp_path):
    digest = pixel_digest(RGB)
    assert digest == pixel_digest(decode(saved(tmp_path, Image.fromarray(RGB), "a.bmp")))
    assert digest == pixel_digest(np.asfortranarray(RGB))
    changed = RGB.copy()
    changed[1, 2, 0] ^= 1
    flat = np.zeros((2, 3, 3), np.uint8)
    assert len({digest, pixel_digest(changed), pixel_digest(flat), pixel_digest(flat.reshape(3, 2, 3))}) == 4
    assert len(digest) == 64
