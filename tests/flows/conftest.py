from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.signed_in import SignedInServer, signed_in_server


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory, empty_store) -> Iterator[SignedInServer]:
    """MLflow's server with sign-in, one for this folder: each file has users and experiments of its own."""
    with signed_in_server(tmp_path_factory.mktemp("team"), empty_store, "Password of the administrator") as server:
        yield server
