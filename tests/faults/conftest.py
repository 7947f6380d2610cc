from __future__ import annotations

import pytest

from tests.support.disturbed import Undisturbed, undisturbed
from tests.support.studio import make_studio


@pytest.fixture(scope="session")
def undisturbed_run(tmp_path_factory, empty_store, prefect_api) -> Undisturbed:
    """The small experiment of `tests/support/disturbed.py`, run once without a fault."""
    return undisturbed(make_studio(tmp_path_factory.mktemp("undisturbed"), empty_store, prefect_api))
