"""MLflow's server with sign-in, asked without one at each address that it knows, and as strangers' pages would ask."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import httpx
import pytest

from tests.support.signed_in import ADMIN

OPEN = {"/health", "/version", "/server-info"}
"""How the addresses end that anybody may read: whether it is well, and what kind of server it is."""

STRANGER = "https://stranger.example"

LIST = """
import json
from mlflow.server import app as pages
from mlflow.server.auth import create_app
served = [(method.upper(), path) for path, own in create_app().openapi()["paths"].items() for method in own]
served += [(method, str(rule)) for rule in pages.url_map.iter_rules() for method in rule.methods]
print("\\n" + json.dumps(sorted(set(served))))
"""


@pytest.fixture(scope="module")
def routes(shared_server):
    own = {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{shared_server.folder / 'mlflow.db'}",
        "MLFLOW_AUTH_CONFIG_PATH": str(shared_server.folder / "basic_auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": shared_server.admin_password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only-for-tests",
        "_MLFLOW_SGI_NAME": "uvicorn",
    }
    told = subprocess.run(
        [sys.executable, "-P", "-c", LIST], env=os.environ | own, capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 0, told.stderr
    return [tuple(route) for route in json.loads(told.stdout.splitlines()[-1])]


@pytest.fixture
def browser(shared_server):
    with httpx.Client(base_url=shared_server.url, trust_env=False, timeout=60) as client:
        yield client


def test_no_route_answers_anybody_who_has_not_signed_in(routes, browser):
    asked = [(method, path) for method, path in routes if method not in ("OPTIONS", "HEAD")]
    assert len(asked) > 300
    assert {"/v1/traces", "/gateway/mlflow/v1/models", "/ajax-api/3.0/mlflow/assistant/config"} <= {
        own for _, own in asked
    }
    answered = set()
    for method, path in asked:
        address = re.sub(r"<[^>]*>|{[^}]*}", "1", path)
        body = None if method == "GET" else {}
        if browser.request(method, address, json=body).status_code != 401:
            answered.add(path)
    assert {
        path for path in answered if not path.endswith(tuple(OPEN)) and not path.startswith("/static-files/")
    } == set()
    assert any(path.endswith("/health") for path in answered)


def test_a_stranger_s_name_for_the_server_is_refused_also_to_who_signed_in(shared_server, browser):
    sign_in = (ADMIN, shared_server.admin_password)
    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert browser.get(search, auth=sign_in).status_code == 200
    for name in ("stranger.example", "stranger.example:5000", "127.0.0.1.stranger.example"):
        assert browser.get(search, auth=sign_in, headers={"Host": name}).status_code == 403, name


def test_a_stranger_s_page_can_neither_change_nor_read_anything(shared_server, browser):
    sign_in = (ADMIN, shared_server.admin_password)
    for kind in ("application/json", "text/plain"):
        own = {"Origin": STRANGER, "Content-Type": kind}
        made = browser.post("/api/2.0/mlflow/experiments/create", auth=sign_in, headers=own, content=b'{"name": "x"}')
        assert made.status_code == 403
    read = browser.get("/api/2.0/mlflow/experiments/search?max_results=1", auth=sign_in, headers={"Origin": STRANGER})
    assert "access-control-allow-origin" not in read.headers


@pytest.mark.parametrize(
    "path", ["..%2f..%2fmlflow.db", "%2fetc%2fpasswd", "a/..%2f..%2f..%2fauth.db", "%252e%252e%252fauth.db"]
)
def test_no_artifact_s_path_leaves_its_folder(shared_server, browser, path):
    sign_in = (ADMIN, shared_server.admin_password)
    with shared_server.as_user() as client:
        name = f"paths {path}"
        run_id = client.create_run(client.create_experiment(name)).info.run_id
    for address in (f"/get-artifact?run_uuid={run_id}&path={path}", f"/api/2.0/mlflow-artifacts/artifacts/{path}"):
        answer = browser.get(address, auth=sign_in)
        assert answer.status_code >= 400, address
        assert b"SQLite format" not in answer.content
