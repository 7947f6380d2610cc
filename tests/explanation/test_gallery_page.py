from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.config import InputError
from tasks.dataset.pixels.shaping import Shaping, lay_back, masked
from tasks.explanation.gallery_page import write_gallery_page
from tasks.explanation.sprites import MARGIN, ON_A_SIDE, PER_SHEET, fitting_sizes, quantised, sheet, thumbnail
from tests.support.gallery_rows import example_map, example_picture, example_rows


def blocks(html, kind):
    found = re.findall(rf'<script type="text/plain" id="{kind}(\d+)">([^<]*)</script>', html)
    assert [int(number) for number, _ in found] == list(range(len(found)))
    return [base64.b64decode(text) for _, text in found]


class Read:
    """A page, read as its script reads it."""

    def __init__(self, path):
        self.html = path.read_text(encoding="utf-8")
        data = re.search(r'<script type="application/json" id="data">(.*?)</script>', self.html, re.DOTALL)
        self.data = json.loads(data[1])
        self.sheets = [Image.open(io.BytesIO(content)) for content in blocks(self.html, "sheet")]
        self.maps = blocks(self.html, "maps")

    def photo(self, name):
        images, side = self.data["images"], self.data["side"]
        image = images["name"].index(name)
        place = image % PER_SHEET
        left, top = place % ON_A_SIDE * side + MARGIN, place // ON_A_SIDE * side + MARGIN
        box = (left, top, left + images["width"][image], top + images["height"][image])
        return np.asarray(self.sheets[image // PER_SHEET].crop(box))

    def heat(self, card, method):
        own = self.data["maps"][method]
        if own["shape"][card] < 0:
            return None
        rows, columns = self.data["shapes"][own["shape"][card]]
        block, at = self.maps[self.data["cards"]["image"][card] // PER_SHEET], own["at"][card]
        return np.frombuffer(block[at : at + rows * columns], np.uint8).reshape(rows, columns)

    def card(self, number):
        data, cards = self.data, self.data["cards"]
        told = {name: cards[name][number] for name in ("probability", "right")}
        for name, known in (("backbone", data["backbones"]), ("fold", data["folds"])):
            told[name] = known[cards[name][number]]
        for name in ("true", "predicted"):
            told[name] = [data["labels"][label] for label in data["decisions"][cards[name][number]]]
        return told | {"image": data["images"]["name"][cards["image"][number]]}


def written(tmp_path, rows, picture=example_picture, heat=example_map, **more):
    write_gallery_page(tmp_path / "explanations.html", rows, picture, heat, **({"title": "Faces"} | more))
    return Read(tmp_path / "explanations.html")


def test_every_row_is_found_again_with_its_picture_and_map(tmp_path):
    rows = example_rows(40, ("vgg16", "ncnn"), ("gradcam", "rise")).sample(frac=1, random_state=0)
    page = written(tmp_path, rows)
    assert page.data["methods"] == list(dict.fromkeys(rows["method"]))
    cards = {(page.card(n)["image"], page.card(n)["backbone"]): n for n in range(80)}
    for number, row in enumerate(rows.itertuples()):
        card = cards[row.image, row.backbone]
        told = page.card(card)
        assert (told["fold"], told["true"], told["predicted"]) == (str(row.fold), [row.true], [row.predicted])
        assert (told["probability"], told["right"]) == (row.probability, int(row.right))
        found = page.heat(card, page.data["methods"].index(row.method))
        np.testing.assert_array_equal(found, np.rint(255 * example_map(number)))
    for name in rows["image"].unique():
        expected = thumbnail(example_picture(name), page.data["side"] - 2 * MARGIN)
        off = np.abs(page.photo(name).astype(int) - expected)
        assert off.mean() < 20
        assert page.photo(name).shape == expected.shape


def test_pictures_do_not_bleed_into_their_neighbours(tmp_path):
    rows = example_rows(20)
    colours = {name: np.random.default_rng(number).integers(0, 256, 3) for number, name in enumerate(rows["image"])}
    sizes = {name: (90 + 7 * number, 200) for number, name in enumerate(rows["image"])}
    page = written(tmp_path, rows, lambda name: np.full((*sizes[name], 3), colours[name], np.uint8))
    for name, colour in colours.items():
        assert np.abs(page.photo(name).astype(int) - colour).max() <= 4


def test_each_picture_and_each_map_is_asked_for_once(tmp_path):
    asked = Counter()

    def picture(name):
        asked[name] += 1
        return example_picture(name)

    def heat(row):
        asked[row] += 1
        return example_map(row)

    rows = example_rows(20, ("a", "b"), ("x", "y"))
    written(tmp_path, rows, picture, heat)
    assert set(asked) == {*rows["image"], *range(80)}
    assert set(asked.values()) == {1}


def test_nothing_is_fetched_and_only_the_pages_own_script_may_run(tmp_path):
    html = written(tmp_path, example_rows(3)).html
    assert not re.search(r"https?://|url\(|@import|src=|href=|localStorage|fetch\(", html)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{allowed}'" in html
    assert "default-src 'none'" in html


def test_texts_cannot_become_markup(tmp_path):
    evil = "</script><script>alert(1)</script>\"'&\u2028"
    rows = example_rows(1).assign(image=evil, true=evil, predicted=evil, backbone=evil, method=evil, note=evil)
    page = written(tmp_path, rows, lambda _: np.zeros((9, 9, 3), np.uint8), title=evil, note=evil)
    assert page.html.count("<script") == page.html.count("</script>") == 4
    assert page.data["images"]["name"] == page.data["labels"] == page.data["notes"] == [evil]


def test_maps_and_notes_may_be_missing(tmp_path):
    rows = example_rows(3, methods=("x", "y")).assign(note=["one", None, "", "two", np.nan, "one"])
    rows = rows.drop(index=3).reset_index(drop=True)  # the second image has no row for y
    page = written(tmp_path, rows, heat=lambda row: None if row == 0 else example_map(row))
    has = [[page.heat(card, method) is not None for card in range(3)] for method in range(2)]
    assert has == [[False, True, True], [True, False, True]]
    assert page.data["notes"] == ["one"]
    assert [own["note"] for own in page.data["maps"]] == [[0, -1, -1], [-1, -1, 0]]


def test_an_image_can_have_several_labels_and_stand_in_several_folds(tmp_path):
    rows = pd.DataFrame(
        {
            "image": "a",
            "backbone": "vgg16",
            "fold": [10, 2, "holdout"],
            "method": "gradcam",
            "true": [("rust", "scab")] * 3,
            "predicted": [("rust",), ("rust", "scab"), ("scab",)],
            "probability": 0.5,
            "right": [False, True, False],
        }
    )
    page = written(tmp_path, rows, lambda _: np.zeros((9, 9, 3), np.uint8))
    assert page.data["folds"] == ["2", "10", "holdout"]
    assert [page.card(n)["predicted"] for n in range(3)] == [["rust"], ["rust", "scab"], ["scab"]]
    assert [page.card(n)["fold"] for n in range(3)] == ["10", "2", "holdout"]
    assert page.data["images"]["name"] == ["a"]


@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
def test_maps_lie_where_the_network_saw_the_picture(resize):
    how, heat = Shaping(resize=resize), example_map(60)
    small = quantised(heat, 120, 360, how) / 255
    assert small.shape == ((14, 14) if resize == "stretch" else (11, 32))
    whole = lay_back(heat, 120, 360, how)
    back = np.asarray(Image.fromarray(small.astype(np.float32)).resize((360, 120), Image.Resampling.BILINEAR))
    assert np.abs(back - whole).mean() < 0.02


def test_what_a_mask_hides_is_black_and_large_maps_are_shrunk(tmp_path):
    how = Shaping(mask="circle")
    image = np.full((300, 500, 3), 200, np.uint8)
    page = written(tmp_path, example_rows(1), lambda _: image, lambda _: np.ones((224, 200)), how=how)
    expected = thumbnail(masked(image, how), page.data["side"] - 2 * MARGIN)
    assert np.abs(page.photo(page.data["images"]["name"][0]).astype(int) - expected).mean() < 3
    assert page.photo(page.data["images"]["name"][0])[:, :30].max() < 10
    assert page.heat(0, 0).shape == (32, 32)
    assert (page.heat(0, 0) == 255).all()


def test_small_pictures_stay_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (25, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(thumbnail(image, 96), image)
    assert thumbnail(np.zeros((1, 900, 3), np.uint8), 96).shape == (1, 96, 3)


@pytest.mark.parametrize(
    ("n_images", "n_maps"), [(1, 1), (1000, 5000), (2000, 10_000), (2000, 100_000), (20_000, 40_000)]
)
def test_the_sizes_stay_within_the_limit_even_for_noise(n_images, n_maps):
    sizes = fitting_sizes(n_images, n_maps, 30e6)
    assert sizes.side % 16 == 0
    rng = np.random.default_rng(0)
    inner = sizes.side - 2 * MARGIN
    noise = [rng.integers(0, 256, (inner, inner, 3), dtype=np.uint8) for _ in range(PER_SHEET)]
    one = len(sheet(noise, sizes))
    assert one * n_images / PER_SHEET + n_maps * sizes.grid**2 <= 30e6
    assert fitting_sizes(10 * n_images, n_maps, 30e6).side <= sizes.side


def test_the_whole_page_stays_within_its_limit(tmp_path):
    rng = np.random.default_rng(0)
    rows = example_rows(60, ("a", "b"))
    written(
        tmp_path,
        rows,
        lambda _: rng.integers(0, 256, (200, 200, 3), dtype=np.uint8),
        lambda _: rng.random((50, 50)),
        max_mb=0.4,
    )
    assert 0.2e6 < (tmp_path / "explanations.html").stat().st_size < 0.4e6


def test_a_page_is_there_whole_or_not_at_all(tmp_path):
    written(tmp_path, example_rows(3))
    before = (tmp_path / "explanations.html").read_bytes()

    def broken(name):
        raise InputError("The image cannot be read.")

    with pytest.raises(InputError, match="cannot be read"):
        written(tmp_path, example_rows(3), broken)
    assert (tmp_path / "explanations.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["explanations.html"]


def test_what_cannot_be_shown_is_refused(tmp_path):
    rows = example_rows(3)
    for spoiled, words in (
        (rows.drop(columns=["fold", "true"]), "no column fold, true"),
        (rows[:0], "at least one row"),
        (pd.concat([rows, rows[:1]]), "two rows are for one map"),
        (rows.assign(fold=[0, None, 1]), "empty cells in fold"),
        (rows.assign(probability=1.5), "not from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=words):
            written(tmp_path, spoiled)
    with pytest.raises(InputError, match="colour map"):
        written(tmp_path, rows, colormap="none such")
    assert list(tmp_path.iterdir()) == []
