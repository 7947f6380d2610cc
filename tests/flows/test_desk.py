from __future__ import annotations

import httpx
import pytest
from prefect.exceptions import FailedRun
from prefect.states import Failed

from flows.desk import Desk, result_on
from tasks.config import InputError


def flow_that(desk, *, finds=None, fails=None, state=None):
    def own(*_, return_state):
        assert return_state
        desk.result, desk.fault = finds, fails
        if state is None:
            raise httpx.ConnectError("the server is gone")
        return state

    return own


def test_a_result_counts_also_where_the_server_went_away_before_the_end(caplog):
    desk = Desk()
    assert result_on(desk, flow_that(desk, finds="found")) == "found"
    assert "the server is gone" in caplog.text


def test_without_a_result_it_is_the_flows_own_fault_that_is_told():
    desk = Desk()
    with pytest.raises(InputError, match="no images"):
        result_on(desk, flow_that(desk, fails=InputError("no images")))
    with pytest.raises(httpx.ConnectError):
        result_on(desk, flow_that(desk))


def test_a_partial_result_is_a_result():
    desk = Desk()
    assert result_on(desk, flow_that(desk, finds="most", state=Failed(message="some failed"))) == "most"
    with pytest.raises(FailedRun, match="all failed"):
        result_on(desk, flow_that(desk, state=Failed(message="all failed")))
