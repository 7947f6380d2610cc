"""The registry of methods."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasks.config import InputError
from tasks.explanation.methods import METHODS, get, names


@pytest.mark.parametrize("name", names())
def test_every_method_can_be_loaded_and_says_what_it_costs(name):
    method = get(name)
    assert method.name == name
    assert method.load().title == method.title
    assert method.load().fails_sanity_checks == method.fails_sanity_checks
    assert "forward" in method.passes
    assert name.isidentifier()


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"Received: hirescan; known: gradcam, .*nearest: hirescam"):
        get("hirescan")


def test_titles_are_told_apart():
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


def test_listing_them_does_not_load_tensorflow():
    listed = "import sys, tasks.explanation.methods as m; m.names(); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
