from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.config import InputError
from tasks.dataset.sources.regions import read_regions

IMAGES = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/3.tar.png"]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def mask(tmp_path):
    def write(name, values, **how):
        path = tmp_path / "masks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = values if isinstance(values, Image.Image) else Image.fromarray(np.asarray(values, np.uint8))
        image.save(path, **how)
        return tmp_path / "masks"

    return write


@pytest.fixture
def table(tmp_path):
    def write(text, name="boxes.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def refused(source, root, images=IMAGES):
    def read():
        regions = read_regions(source, root, images)
        return [regions.mask(image, 6, 8) for image in images]

    with pytest.raises(InputError) as caught:
        read()
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(("data.regions", "The table", "There is no table"))
    return text


MARKED = np.zeros((6, 8), np.uint8)
MARKED[1:3, 4:7] = 1


def test_masks_are_found_by_the_images_names(root, mask):
    for name in ("a/1.png", "2_mask.png", "b/1.tif", "b/3.tar.bmp", "other.png"):
        folder = mask(name, MARKED * 255)
    regions = read_regions(folder, root, IMAGES)
    assert {image: str(path.relative_to(folder)) for image, path in regions.of_image.items()} == {
        "a/1.jpg": "a/1.png",
        "a/2.jpg": "2_mask.png",
        "b/1.jpg": "b/1.tif",
        "b/3.tar.png": "b/3.tar.bmp",
    }
    np.testing.assert_array_equal(regions.mask("a/2.jpg", 6, 8), MARKED == 1)
    assert regions.mask("a/9.jpg", 6, 8) is None


def palette():
    image = Image.fromarray(MARKED).convert("P")
    image.putdata([int(value) for value in MARKED.ravel()])
    image.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(MARKED),
        Image.fromarray(MARKED * 255),
        Image.fromarray(MARKED == 1),
        Image.fromarray(MARKED.astype(np.uint16)),
        Image.fromarray(np.stack([MARKED * 0, MARKED * 3, MARKED * 0], axis=-1)),
        Image.fromarray(np.stack([MARKED * 9, MARKED * 9, MARKED * 9, MARKED * 0 + 255], axis=-1)),
        Image.fromarray(np.stack([MARKED * 9, MARKED * 0 + 9, MARKED * 9, MARKED * 255], axis=-1)),
        palette(),
    ],
    ids=["0 or 1", "0 or 255", "one bit", "16 bit", "colour", "opaque", "transparent", "palette"],
)
def test_every_colour_but_black_is_inside(root, mask, image):
    folder = mask("a/1.png", image)
    np.testing.assert_array_equal(read_regions(folder, root, IMAGES).mask("a/1.jpg", 6, 8), MARKED == 1)


def test_jpeg_masks_are_cut_at_half_of_white(root, mask):
    whole = np.zeros((32, 32), np.uint8)
    whole[:, 13:] = 255
    folder = mask("a/1.jpg", whole, quality=60)
    found = read_regions(folder, root, IMAGES).mask("a/1.jpg", 32, 32)
    np.testing.assert_array_equal(found, whole > 0)


def test_a_mask_of_another_size_is_enlarged_and_of_another_shape_refused(root, mask):
    regions = read_regions(mask("a/1.png", MARKED), root, IMAGES)
    np.testing.assert_array_equal(regions.mask("a/1.jpg", 18, 24), np.kron(MARKED, np.ones((3, 3))) == 1)
    np.testing.assert_array_equal(regions.mask("a/1.jpg", 6, 8), MARKED == 1)
    assert regions.mask("a/1.jpg", 7, 9).shape == (7, 9)
    with pytest.raises(InputError, match="8 x 6 pixels and its image 60 x 80"):
        regions.mask("a/1.jpg", 80, 60)


def test_an_empty_mask_marks_nothing(root, mask):
    assert read_regions(mask("a/1.png", MARKED * 0), root, IMAGES).mask("a/1.jpg", 6, 8) is None


def test_masks_that_cannot_be_used_are_told(root, mask, tmp_path):
    folder = mask("1.png", MARKED)
    assert "1.png: 1 (means a/1.jpg and b/1.jpg)" in refused(folder, root)
    (folder / "1.png").unlink()
    assert "it holds no images" in refused(folder, root)
    mask("x.png", MARKED)
    assert "no mask in" in (text := refused(folder, root))
    assert "x.png" in text
    mask("a/2.png", MARKED)
    mask("2_mask.png", MARKED)
    assert "a/2.jpg: 2_mask.png and a/2.png" in refused(folder, root)
    (folder / "2_mask.png").unlink()
    (folder / "a/2.png").write_bytes(b"no image")
    assert "a/2.png cannot be read: not an image in a known format" in refused(folder, root)
    assert f"nearest name there is {folder}" in refused(tmp_path / "mask", root)


def test_masks_in_the_data_folder_are_no_images(root, mask):
    folder = mask("a/1.png", MARKED)
    inside = root / "masks"
    folder.rename(inside)
    assert read_regions(inside, root, [*IMAGES, "masks_too/a.png"]).mask("a/1.jpg", 6, 8) is not None
    assert "masks/a/1.png. Move them out" in refused(inside, root, [*IMAGES, "masks/a/1.png"])


def test_boxes_of_every_form(root, table, tmp_path):
    corners = "image,x_min,y_min,x_max,y_max\na/1,4,1,7,3\na/2.jpg,0,0,1,1\na/2.jpg,7,5,30,30\nb/1,,,,\nz.png,1,2,3,4\n"
    extents = "filename;X;Y;Width;Height\na/1.jpg;4.0;1.0;3.0;2\n2;0;0;1;1\n2;7;5;23;25\n"
    frame = pd.DataFrame({"path": ["a/1", "2", "2"], "xmin": [4, 0, 7.0], "ymin": [1, 0, 5.0]})
    frame.assign(w=[3, 1, 23.0], h=[2, 1, 25.0]).to_parquet(tmp_path / "boxes.parquet")
    for source in (table(corners), table(extents, "boxes.tsv".replace("tsv", "CSV")), tmp_path / "boxes.parquet"):
        regions = read_regions(source, root, IMAGES)
        np.testing.assert_array_equal(regions.mask("a/1.jpg", 6, 8), MARKED == 1)
        found = regions.mask("a/2.jpg", 6, 8)
        assert np.argwhere(found).tolist() == [[0, 0], [5, 7]]
        assert regions.mask("b/1.jpg", 6, 8) is None


def test_a_pixel_is_in_a_box_by_its_centre(root, table):
    regions = read_regions(table("image,x,y,width,height\na/1,0.5,0.4,2.9,1\n"), root, IMAGES)
    assert np.argwhere(regions.mask("a/1.jpg", 6, 8)).tolist() == [[0, 0], [0, 1], [0, 2]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,x_min,y_min,x_max\na/1,1,2,3\n", "has the columns image, x_min, y_min, x_max"),
        ("name,x_min,y_min,x_max,y_max\na/1,1,2,3,4\n", "Boxes need one for the image"),
        ("image,x_min,y_min,x_max,y_max\na/1,1,2,left,4\n", "line 2: 1, 2, left, 4 (are not four numbers)"),
        ("image,x_min,y_min,x_max,y_max\na/1,1,,3,4\n", "are not four numbers"),
        ("image,x_min,y_min,x_max,y_max\na/1,5,2,3,4\n", "is no box: it has no extent"),
        ("image,x,y,width,height\na/1,1,2,inf,4\n", "is no box"),
        ("image,x,y,width,height\n1,1,2,3,4\n", "1 (means a/1.jpg and b/1.jpg)"),
        ("image,x,y,width,height\nq,1,2,3,4\n", "no box of an image of the data: line 2: q (is not there)"),
        ("image,x,y,width,height\na/1,,,,\n", "or all of its boxes are blank"),
        ("image,x,y,width,height\na/1,0.1,0.2,0.3,0.4\n", "seem to be shares of the picture"),
        ("image,x,y,width,height\na/1,9,2,3,4\n", "lies outside the picture, which has 8 x 6 pixels"),
        ("image,x,y,width,height\n", "has no rows"),
    ],
)
def test_tables_that_cannot_be_used_are_told(root, table, text, said):
    assert said in refused(table(text), root)


def test_a_missing_table_is_told(root, tmp_path):
    assert "There is no table" in refused(tmp_path / "boxes.csv", root)
