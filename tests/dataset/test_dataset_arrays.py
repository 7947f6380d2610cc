from __future__ import annotations

import io
import pickle
import warnings
import zipfile

import numpy as np
import pytest

from tasks.config import Data, InputError, Table
from tasks.dataset.pixels.addresses import open_image, open_picture, row_address, split_address
from tasks.dataset.pixels.arrays import check_values, image_of, open_array
from tasks.dataset.pixels.images import ImageError, decode
from tasks.dataset.sources.readers import read_records


@pytest.fixture
def save(tmp_path):
    """Save an array and return its path."""

    def write(array, name="x.npy", **options):
        np.save(tmp_path / name, array, **options)
        return tmp_path / name

    return write


def pixels(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def retina(tmp_path, save):
    """Study C's folder: three arrays, tables beside two of them."""
    for seed, (name, count) in enumerate((("training", 12), ("validation", 3), ("test", 2))):
        save(pixels((count, 6, 8, 3), seed), f"{name}.npy")
    (tmp_path / "training.csv").write_text("id_code,diagnosis\n" + "".join(f"{n:x},{n % 5}\n" for n in range(12)))
    (tmp_path / "validation.csv").write_text("id_code,diagnosis\na,4\nb,0\nc,1\n")
    return tmp_path


def test_arrays_beside_tables_give_addresses_labels_and_splits(retina):
    records = read_records(Data(path=retina, unlabelled="skip"))
    assert len(records) == 17
    by_address = {record.relative: record for record in records}
    assert [record.relative for record in records if record.flaw] == ["test.npy#0", "test.npy#1"]
    assert (by_address["training.npy#07"].label, by_address["training.npy#07"].split) == ("2", "train")
    assert (by_address["validation.npy#0"].label, by_address["validation.npy#0"].split) == ("4", "val")
    array = np.load(retina / "training.npy")
    assert np.array_equal(open_image(retina, "training.npy#07"), array[7])
    assert np.array_equal(open_image(retina, "training.npy#7"), array[7])


def test_arrays_without_labels_are_an_error_unless_left_out(retina):
    with pytest.raises(InputError, match=r"test\.npy with 2 images has no table .*test\.csv.*data\.unlabelled: skip"):
        read_records(Data(path=retina))


def test_the_table_must_have_a_row_for_every_image(retina):
    with (retina / "training.csv").open("a") as file:
        file.write("\nff,3\n")
    with pytest.raises(InputError, match=r"holds 12 images, and .*training\.csv has 13 rows"):
        read_records(Data(path=retina, unlabelled="skip"))


def test_blank_labels_and_named_columns_follow_the_rules_of_tables(retina):
    (retina / "validation.csv").write_text("id_code,diagnosis\na,4\nb,\nc,1\n")
    (retina / "test.csv").write_text("diagnosis\n1\n2\n")
    with pytest.raises(InputError, match=r"validation\.csv is blank in 1 row: line 3"):
        read_records(Data(path=retina))
    records = read_records(Data(path=retina, unlabelled="skip"))
    assert [record.relative for record in records if record.flaw] == ["validation.npy#1"]
    with pytest.raises(InputError, match=r"no column 'grade'"):
        read_records(Data(path=retina, table=Table(label="grade"), unlabelled="skip"))


def test_one_array_takes_the_one_table_beside_it(tmp_path, save):
    save(pixels((2, 4, 4)), "images.npy")
    (tmp_path / "labels.csv").write_text("label,site\na,x\nb,y\n")
    records = read_records(Data(path=tmp_path))
    assert [(record.label, record.split, record.extra["site"]) for record in records] == [
        ("a", None, "x"),
        ("b", None, "y"),
    ]
    (tmp_path / "images.csv").write_text("label\nc\nd\n")
    assert [record.label for record in read_records(Data(path=tmp_path))] == ["c", "d"]
    (tmp_path / "images.tsv").write_text("label\nc\nd\n")
    with pytest.raises(InputError, match="several tables"):
        read_records(Data(path=tmp_path))


def test_images_in_class_folders_come_before_arrays(tmp_path, save, paint):
    save(pixels((2, 4, 4)), "features.npy")
    paint(tmp_path / "a/1.png")
    paint(tmp_path / "b/1.png")
    assert [record.relative for record in read_records(Data(path=tmp_path))] == ["a/1.png", "b/1.png"]


@pytest.mark.parametrize(
    ("array", "first"),
    [
        (np.array([[[0, 255]], [[7, 8]]], np.uint8), [0, 255]),
        (np.array([[[0, 0xFFFF]], [[0, 0x1FF]]], np.uint16), [0, 255]),
        (np.array([[[0, 0xFFFF]], [[0, 0x1FF]]], ">u2"), [0, 255]),
        (np.array([[[0, 255]], [[7, 8]]], np.int64), [0, 255]),
        (np.array([[[0, 0.5]], [[0, 1]]], np.float32), [0, 128]),
        (np.array([[[0, 0.25]], [[0, 1]]], np.float16), [0, 64]),
        (np.array([[[False, True]], [[False, True]]]), [0, 255]),
        (np.asfortranarray(np.array([[[1, 2]], [[3, 4]]], np.uint8)), [1, 2]),
    ],
)
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_types_and_channels_become_8_bit_rgb(save, array, first, channels):
    whole = np.repeat(array[..., None], channels, axis=-1) if channels else array
    opened = open_array(save(whole))
    check_values(opened)
    image = image_of(opened, 0)
    assert image.dtype == np.uint8
    assert image.shape == (1, 2, 3)
    assert image.flags.c_contiguous
    assert image[0, :, 0].tolist() == first
    assert (image == image[:, :, :1]).all()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 4), np.uint8), "its shape is 2×4"),
        (np.zeros(3), "its shape is 3"),
        (np.zeros(()), "no axes"),
        (np.zeros((2, 4, 4, 4), np.uint8), "its shape is 2×4×4×4"),
        (np.zeros((2, 3, 4, 5), np.uint8), "channels before height"),
        (np.zeros((0, 4, 4, 3), np.uint8), "nothing in it|no array"),
        (np.zeros((2, 4, 4), complex), "complex128"),
        (np.zeros((2, 4, 4), "U3"), "<U3"),
        (np.zeros((2, 4, 4), [("a", "u1")]), "its type is"),
        (np.zeros((2, 4, 4), "M8[s]"), "datetime64"),
    ],
)
def test_shapes_and_types_that_are_no_images_are_refused(save, array, said):
    with pytest.raises(ImageError, match=said):
        open_array(save(array))


def test_pickles_are_refused_and_not_run(tmp_path, save):
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    objects = np.empty(2, dtype=object)
    objects[:] = Evil(), Evil()
    with pytest.raises(ImageError, match="pickle of Python objects"):
        open_array(save(objects, allow_pickle=True))
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ImageError, match="pickle of Python objects"):
        open_array(tmp_path / "plain.npy")
    assert not ran.exists()


def test_damaged_files_and_archives_are_refused(tmp_path, save):
    whole = save(pixels((4, 8, 8, 3))).read_bytes()
    for length in (0, 3, 7, 20, 100, 130, len(whole) - 1):
        (tmp_path / f"cut{length}.npy").write_bytes(whole[:length])
        with pytest.raises(ImageError):
            open_array(tmp_path / f"cut{length}.npy")
    (tmp_path / "lie.npy").write_bytes(whole.replace(b"(4, 8, 8, 3)", b"(9**9,8,8,3)"))
    with pytest.raises(ImageError, match="no array"):
        open_array(tmp_path / "lie.npy")
    (tmp_path / "big.npy").write_bytes(whole.replace(b"(4, 8, 8, 3), ", b"(999999,8,8,3)"))
    with pytest.raises(ImageError, match="shorter than its header"):
        open_array(tmp_path / "big.npy")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", whole)
    (tmp_path / "zip.npy").write_bytes(buffer.getvalue())
    with pytest.raises(ImageError, match="archive"):
        open_array(tmp_path / "zip.npy")
    with pytest.raises(ImageError, match="cannot be opened"):
        open_array(tmp_path / "missing.npy")


@pytest.mark.parametrize("worst", [255.0, -0.1, np.nan, np.inf])
def test_a_value_out_of_range_anywhere_stops_the_array(tmp_path, save, worst):
    array = np.zeros((3, 4, 4), np.float32)
    array[2, 3, 3] = worst
    (tmp_path / "x.csv").write_text("label\na\nb\nc\n")
    opened = open_array(save(array))
    with pytest.raises(ImageError, match="must lie in 0 to 1"):
        check_values(opened)
    with pytest.raises(ImageError, match="must lie in 0 to 1"):
        image_of(opened, 2)
    with pytest.raises(InputError, match=r"x\.npy cannot be used: its values"):
        read_records(Data(path=tmp_path))


def test_wide_numbers_beyond_8_bits_are_refused(save):
    with pytest.raises(ImageError, match="from 0 to 256, and must lie in 0 to 255"):
        check_values(open_array(save(np.array([[[0]], [[256]]], np.int32))))


def test_the_array_is_mapped_not_read_and_seen_anew_when_it_changes(tmp_path, save):
    path = save(pixels((2, 4, 4, 3), 1))
    assert isinstance(open_array(path), np.memmap)
    assert open_array(path) is open_array(path)
    with pytest.raises(ValueError, match="read-only"):
        open_array(path)[0] = 0
    before = open_image(tmp_path, "x.npy#1")
    path.unlink()
    save(pixels((3, 4, 4, 3), 2))
    assert not np.array_equal(open_image(tmp_path, "x.npy#1"), before)


def test_addresses_name_files_and_rows(tmp_path, paint):
    paint(tmp_path / "a#1.png")
    assert np.array_equal(open_image(tmp_path, "a#1.png"), decode(tmp_path / "a#1.png"))
    assert split_address("a#1.png") == ("a#1.png", None)
    assert split_address("deep/x.npy#012") == ("deep/x.npy", 12)
    assert row_address("x.npy", 5, 100) == "x.npy#05"
    rows = [row_address("x.npy", row, 1234) for row in range(1234)]
    assert rows == sorted(rows)
    assert [split_address(address)[1] for address in rows] == list(range(1234))


def test_a_row_beyond_the_array_is_refused(tmp_path, save):
    save(pixels((2, 4, 4)))
    with pytest.raises(ImageError, match="2 images, and none with the number 2"):
        open_image(tmp_path, "x.npy#2")


def test_data_without_any_label_is_refused(tmp_path, save):
    save(pixels((2, 4, 4)))
    with pytest.raises(InputError, match="None of the 2 images"):
        read_records(Data(path=tmp_path, unlabelled="skip"))


def test_a_picture_of_an_array_says_what_it_is(tmp_path, save):
    save(pixels((2, 4, 4)), "grey.npy")
    save(pixels((2, 4, 4, 3)), "colour.npy")
    grey, colour = open_picture(tmp_path, "grey.npy#1"), open_picture(tmp_path, "colour.npy#1")
    assert (grey.format, grey.mode, colour.mode, colour.has_more) == ("NPY", "L", "RGB", False)
    assert np.array_equal(grey.pixels, open_image(tmp_path, "grey.npy#1"))


def test_a_shape_that_overflows_is_refused_without_a_warning(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296, 3), }"
    content = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n" + bytes(100)
    (tmp_path / "x.npy").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="no array that numpy"):
            open_array(tmp_path / "x.npy")
