from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.disturbed import Undisturbed, undisturbed
from tests.support.studio import make_studio


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of this folder, so that `make faults` finds them beside the long ones of others."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")


@pytest.fixture(scope="session")
def undisturbed_run(tmp_path_factory, empty_store, prefect_api) -> Undisturbed:
    """The small experiment of `tests/support/disturbed.py`, run once without a fault."""
    return undisturbed(make_studio(tmp_path_factory.mktemp("undisturbed"), empty_store, prefect_api))
