from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from tasks.evaluation.fonts import font_file, visible
from tasks.evaluation.style import figure, save, tidy

RARE = "d\u1d81"
"""Letters with a hook, the second of which DejaVu lacks and STIX has; both fonts come with matplotlib."""


def drawn(title, x="x"):
    made = figure(3, 2)
    axes = made.subplots()
    tidy(axes, title, x, "y")
    axes.set_xticks([0, 1], [title, "b"])
    axes.plot([0, 1], label=title)
    axes.legend()
    file = io.BytesIO()
    save(made, file)
    return made, np.asarray(Image.open(file))


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_no_letter_is_missing_wherever_it_stands(ending):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made, _ = drawn(RARE, RARE)
        made.savefig(io.BytesIO(), format=ending, bbox_inches="tight")


def test_a_letter_that_no_font_has_is_drawn_without_a_word_on_the_screen(recwarn):
    drawn("Größe \U0010fffd")
    assert not [str(found.message) for found in recwarn]


def test_figures_with_letters_of_the_usual_font_are_drawn_as_ever():
    _, plain = drawn("a")
    _, again = drawn("a")
    np.testing.assert_array_equal(plain, again)
    made, _ = drawn("Größe \U0010fffd")  # a letter that no font has
    assert all(text.get_fontproperties().get_file() is None for text in made.findobj(Text))
    assert any(
        text.get_fontproperties().get_file() == font_file(visible(RARE)) for text in drawn(RARE)[0].findobj(Text)
    )
