"""Image files as people really have them: odd ones with the pixels that they show, and bad ones with what is wrong.

`python -m tests.support.corpus FOLDER` writes them all, to look at them.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 24, 16
GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6
"""Colour types of a PNG."""


@dataclass(frozen=True)
class Odd:
    """A file that can be read."""

    name: str
    content: bytes
    pixels: np.ndarray
    """What people see: (height, width, 3), uint8."""
    off: int = 0
    """By how much a pixel may differ, where the format loses some."""


@dataclass(frozen=True)
class Bad:
    """A file that cannot be read."""

    name: str
    content: bytes
    reason: str
    """A part of what must be said about it."""


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Give a smooth RGB picture of its own for each seed; (height, width, 3), uint8."""
    start = np.random.default_rng(seed).uniform(0, 6, 3)
    x, y = np.arange(width) / max(width, 24), np.arange(height)[:, None] / max(height, 16)
    waves = [np.sin(first + 2 * x + (channel - 1.3) * y) for channel, first in enumerate(start)]
    return np.rint(127.5 + 110 * np.stack(waves, axis=2)).astype(np.uint8)


def grey(seed: int) -> np.ndarray:
    """Give a smooth grey picture; (height, width), uint8."""
    return picture(seed)[:, :, 0]


def three(values: np.ndarray) -> np.ndarray:
    """Give a grey picture as RGB."""
    return np.repeat(values.astype(np.uint8)[:, :, None], 3, axis=2)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """Give the content of an image file that Pillow writes."""
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """Give a chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, bits: int, colour: int, data: bytes, extra: bytes = b"") -> bytes:
    """Give a PNG that Pillow does not write; `data` are the compressed rows, each behind its filter byte 0."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def rows(values: np.ndarray) -> bytes:
    """Give compressed rows of 8- or 16-bit values."""
    big = values.astype(values.dtype.newbyteorder(">"))
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in big))


def bomb(side: int = 20_000) -> bytes:
    """Give a whole and valid PNG of a few kilobytes that unfolds to `side` × `side` pixels."""
    press = zlib.compressobj(9)
    line = bytes(1 + side // 8)
    data = b"".join(press.compress(line) for _ in range(side)) + press.flush()
    return png(side, side, 1, GREY, data)


def twelve_bit_tiff(values: np.ndarray) -> bytes:
    """Give a TIFF of 12 bits a pixel; the width is even."""
    first, second = values[:, ::2].astype(int), values[:, 1::2].astype(int)
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=2).astype(np.uint8).tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 277: 1, 278: height, 279: len(packed)}
    offset = 8 + 2 + 12 * (len(tags) + 1) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted((tags | {273: offset}).items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags) + 1) + entries + bytes(4) + packed


def odd_files() -> list[Odd]:
    """Give every kind of file that can be read, each with a picture of its own."""
    return [*_plain_formats(), *_modes(), *_deep(), *_transparent(), *_several_frames(), *_turned(), *_sizes()]


def _plain_formats() -> Iterator[Odd]:
    for seed, kind in enumerate(["PNG", "BMP", "TIFF", "PPM", "GIF"]):
        pixels = picture(seed) if kind != "GIF" else three(grey(seed))
        yield Odd(f"plain.{kind.lower()}", encoded(pixels if kind != "GIF" else grey(seed), kind), pixels)
    yield Odd("plain.webp", encoded(picture(5), "WEBP", lossless=True), picture(5))
    yield Odd("plain.jpg", encoded(picture(6), "JPEG", quality=95), picture(6), off=12)
    yield Odd("progressive.jpeg", encoded(picture(7), "JPEG", quality=95, progressive=True), picture(7), off=12)
    yield Odd("really_a_jpeg.png", encoded(picture(8), "JPEG", quality=95), picture(8), off=12)
    yield Odd("really_a_png.jpg", encoded(picture(9), "PNG"), picture(9))


def _modes() -> Iterator[Odd]:
    yield Odd("grey.png", encoded(grey(20), "PNG"), three(grey(20)))
    yield Odd("grey.jpg", encoded(grey(21), "JPEG", quality=95), three(grey(21)), off=12)
    ink = grey(22) > 127
    yield Odd("one_bit.png", encoded(Image.fromarray(ink), "PNG"), three(ink * 255))
    ink = grey(23) > 127
    yield Odd("one_bit_group4.tif", encoded(Image.fromarray(ink), "TIFF", compression="group4"), three(ink * 255))
    four = grey(24) >> 4
    nibbles = four[:, ::2] << 4 | four[:, 1::2]
    yield Odd("grey_four_bits.png", png(WIDTH, HEIGHT, 4, GREY, rows(nibbles)), three(four * 17))
    colours, places = picture(25)[0, :8], grey(25) >> 5
    palette = Image.fromarray(places, "P")
    palette.putpalette(colours.tobytes())
    yield Odd("palette.png", encoded(palette, "PNG"), colours[places])
    cmyk = np.dstack([picture(26), grey(26) // 2])
    told = (255.0 - cmyk[:, :, :3]) * (255.0 - cmyk[:, :, 3:]) / 255
    yield Odd("cmyk.tif", encoded(Image.fromarray(cmyk, "CMYK"), "TIFF"), np.rint(told).astype(np.uint8), off=1)
    flat = np.full((HEIGHT, WIDTH, 4), [0, 200, 255, 30], np.uint8)
    told = np.full((HEIGHT, WIDTH, 3), [225, 49, 0], np.uint8)
    yield Odd("cmyk.jpg", encoded(Image.fromarray(flat, "CMYK"), "JPEG", quality=95), told, off=6)


def _deep() -> Iterator[Odd]:
    deep = grey(40).astype(np.uint16) * 256 + 201
    yield Odd("grey_16.png", encoded(deep, "PNG"), three(grey(40)))
    yield Odd("grey_16.tif", encoded(deep + 1, "TIFF"), three(grey(40)))
    colour = picture(41).astype(np.uint16) * 256 + 255
    yield Odd("colour_16.png", png(WIDTH, HEIGHT, 16, RGB, rows(colour)), picture(41))
    clear = np.dstack([colour, np.where(grey(42) > 127, 0xFFFF, 0).astype(np.uint16)])
    seen = np.where((grey(42) > 127)[:, :, None], picture(41), 0).astype(np.uint8)
    yield Odd("colour_16_alpha.png", png(WIDTH, HEIGHT, 16, RGBA, rows(clear)), seen)
    holes = deep.copy()
    holes[:3] = 999
    seen = three(grey(40))
    seen[:3] = 0
    transparent = chunk(b"tRNS", struct.pack(">H", 999))
    yield Odd("grey_16_one_clear.png", png(WIDTH, HEIGHT, 16, GREY, rows(holes), transparent), seen)
    yield Odd("grey_12.tif", twelve_bit_tiff(grey(43).astype(np.uint16) * 16 + 9), three(grey(43)))
    yield Odd("unit_float.tif", encoded((grey(44) / np.float32(255)).astype(np.float32), "TIFF"), three(grey(44)))


def _transparent() -> Iterator[Odd]:
    alpha = np.where(grey(60) > 127, 255, 0).astype(np.uint8)
    seen = np.where(alpha[:, :, None], picture(60), 0).astype(np.uint8)
    yield Odd("clear.png", encoded(np.dstack([picture(60), alpha]), "PNG"), seen)
    seen = three(np.where(alpha, grey(61), 0))
    yield Odd("grey_clear.png", png(WIDTH, HEIGHT, 8, GREY_ALPHA, rows(np.dstack([grey(61), alpha]))), seen)
    colours, places = picture(62)[0, :8].copy(), grey(62) >> 5
    palette = Image.fromarray(places, "P")
    palette.putpalette(colours.tobytes())
    content = encoded(palette, "PNG", transparency=3)
    colours[3] = 0
    yield Odd("palette_clear.png", content, colours[places])


def _several_frames() -> Iterator[Odd]:
    first, second = Image.fromarray(grey(80)), Image.fromarray(grey(81))
    more: dict[str, Any] = {"save_all": True, "append_images": [second]}
    yield Odd("animated.gif", encoded(first, "GIF", duration=100, **more), three(grey(80)))
    yield Odd("animated.png", encoded(first, "PNG", duration=100, **more), three(grey(80)))
    yield Odd("pages.tif", encoded(first, "TIFF", **more), three(grey(80)))
    colour: dict[str, Any] = {"save_all": True, "append_images": [Image.fromarray(picture(83))]}
    yield Odd("animated.webp", encoded(picture(82), "WEBP", lossless=True, **colour), picture(82))


def _turned() -> Iterator[Odd]:
    for orientation, turn in {3: 2, 6: 1, 8: 3}.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = np.rot90(picture(100 + orientation), turn)
        content = encoded(np.ascontiguousarray(stored), "JPEG", quality=95, exif=exif)
        yield Odd(f"turned_{orientation}.jpg", content, picture(100 + orientation), off=12)


def _sizes() -> Iterator[Odd]:
    for seed, (width, height) in enumerate([(1, 1), (1, 300), (300, 1), (30_000, 2), (3, 20_000), (2500, 2000)]):
        pixels = picture(120 + seed, width, height)
        yield Odd(f"size_{width}_{height}.png", encoded(pixels, "PNG", compress_level=1), pixels)


def bad_files() -> list[Bad]:
    """Give every kind of file that is named as an image and cannot be read as one."""
    return [*_cut(), *_no_images(), *_hostile(), *_no_range()]


def _cut() -> Iterator[Bad]:
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    for name, kind, options in (
        ("png", "PNG", {}),
        ("jpg", "JPEG", {}),
        ("jpeg", "JPEG", {"progressive": True}),
        ("tif", "TIFF", {"compression": "tiff_deflate"}),
        ("gif", "GIF", {}),
        ("webp", "WEBP", {}),
        ("bmp", "BMP", {}),
    ):
        content = encoded(noise, kind, **options)
        for share in (1, 3, 10, 25, 50, 75, 90):
            yield Bad(f"cut_{share:02d}.{name}", content[: max(2, len(content) * share // 100)], "")


def _no_images() -> Iterator[Bad]:
    yield Bad("empty.png", b"", "the file is empty")
    yield Bad("empty.jpg", b"", "the file is empty")
    yield Bad("text.png", b"this is no picture\n", "not an image in a known format")
    yield Bad("page.jpg", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not an image in a known format")
    yield Bad("pointer.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "not an image")
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    yield Bad("drawing.png", drawing, "not an image in a known format")
    yield Bad("zeros.bmp", bytes(5000), "not an image in a known format")


def _hostile() -> Iterator[Bad]:
    yield Bad("bomb.png", bomb(), "bomb")
    yield Bad("claims.png", png(2**31 - 1, 2**31 - 1, 8, RGB, zlib.compress(b"")), "bomb")
    whole = png(WIDTH, HEIGHT, 8, GREY, rows(grey(0)))
    yield Bad("wrong_sum.png", whole[:29] + bytes(4) + whole[33:], "begins like PNG")
    yield Bad("no_rows.png", png(WIDTH, HEIGHT, 8, GREY, zlib.compress(b"")), "")
    yield Bad("no_size.png", png(0, HEIGHT, 8, GREY, zlib.compress(b"")), "")
    yield Bad("no_size.ppm", b"P6 0 9 255\n", "begins like PPM")
    comment = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 3_000_000))
    yield Bad("text_bomb.png", png(WIDTH, HEIGHT, 8, GREY, rows(grey(0)), comment), "")


def _no_range() -> Iterator[Bad]:
    yield Bad("float.tif", encoded(grey(0).astype(np.float32), "TIFF"), "floating-point")
    yield Bad("nan.tif", encoded(np.full((4, 4), np.nan, np.float32), "TIFF"), "floating-point")
    yield Bad("deep.tif", encoded(np.full((4, 4), 70_000, np.int32), "TIFF"), "16 bits")


ODD_NAMES = (
    "two  blanks .png",
    'it\'s "quoted" and `ticked`.png',
    "$(touch hacked);touch hacked&.png",
    "-rf.png",
    "dots..and...dots.png",
    "100%s%n{0}{name}.png",
    "comma,semicolon;tab\\t|.png",
    "back\\slash.png",
    "<script>alert(1)</script>".replace("/", "\N{DIVISION SLASH}") + ".png",
    "star*question?[bracket].png",
    "=1+1.png",
    "#hash~tilde!@^.png",
    "Äpfel grün.png",
    "A\u0308pfel gru\u0308n.png",
    "梨 \N{PEAR} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{MICROSCOPE}.png",
    "\N{ARABIC LETTER ALEF}\N{RIGHT-TO-LEFT OVERRIDE}gnp.png",
    "LOUD.PNG",
    "con.png",
    "x" * 251 + ".png",
)
"""File names that are unusual, and right."""

REFUSED_NAMES = ("line\nbreak.png", "carriage\rreturn.png", "tab\tstop.png", "escape\x1b[31m.png", "line\u2028.png")
"""File names that would spoil a message or a table."""


def write_links(folder: Path, outside: Path) -> dict[str, str]:
    """Write links, to an image `outside/linked.png` among others; gives the reason against each that leads nowhere."""
    outside.mkdir(parents=True, exist_ok=True)
    (outside / "linked.png").write_bytes(encoded(picture(200), "PNG"))
    (outside / "deep").mkdir()
    (outside / "deep/more.png").write_bytes(encoded(picture(201), "PNG"))
    targets: dict[str, Path | str] = {
        "file_outside.png": outside / "linked.png",
        "folder_outside": outside / "deep",
        "nowhere.png": outside / "gone.png",
        "itself.png": "itself.png",
        "there.png": "back.png",
        "back.png": "there.png",
        "round": "round",
        "up": "..",
        "top": "/",
        "device.png": "/dev/zero",
    }
    for name, target in targets.items():
        (folder / name).symlink_to(target)
    os.mkfifo(outside / "pipe")
    (folder / "pipe.png").symlink_to(outside / "pipe")
    reasons = dict.fromkeys(("itself.png", "there.png", "back.png"), "leads back to itself")
    return reasons | {"nowhere.png": "not there"}


def write(folder: Path, files: Sequence[Odd | Bad]) -> None:
    """Write the files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).write_bytes(file.content)


def named_files() -> list[Odd]:
    """Give a picture of its own under each unusual name."""
    pictures = [picture(300 + number) for number in range(len(ODD_NAMES))]
    return [Odd(name, encoded(pixels, "PNG"), pixels) for name, pixels in zip(ODD_NAMES, pictures, strict=True)]


def main(folder: Path) -> None:
    """Write everything: `data/odd`, `bad`, `names` and `links`, and `outside`, where links lead to."""
    write(folder / "data/odd", odd_files())
    write(folder / "data/bad", bad_files())
    write(folder / "data/names", named_files())
    (folder / "data/links").mkdir()
    write_links(folder / "data/links", folder / "outside")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
