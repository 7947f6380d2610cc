"""What web pages of strangers can do to the servers that foldcam starts on this machine: nothing."""

from __future__ import annotations

import httpx
import pytest

STRANGER = "https://stranger.example"


@pytest.fixture
def api(prefect_api):
    return httpx.Client(base_url=prefect_api, trust_env=False)


def test_no_page_of_another_origin_reads_prefects_answers(api):
    answer = api.get("/health", headers={"Origin": STRANGER})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_no_page_of_another_origin_may_post_to_prefect(api):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = api.options("/flows/filter", headers=asked | {"Origin": STRANGER})
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


def test_a_form_that_needs_no_leave_is_not_taken_for_json(api):
    form = {"Origin": STRANGER, "Content-Type": "text/plain"}
    assert api.post("/flows/", headers=form, content=b'{"name": "planted"}').status_code == 422
    names = [flow["name"] for flow in api.post("/flows/filter", json={}).json()]
    assert "planted" not in names


def test_prefects_own_pages_read_it(api, prefect_api):
    own = prefect_api.removesuffix("/api")
    assert api.get("/health", headers={"Origin": own}).headers["access-control-allow-origin"] == own
