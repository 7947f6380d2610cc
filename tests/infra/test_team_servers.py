"""The compose file's commands and environment, run on this machine: two users, TLS, rights, backup and restore."""

from __future__ import annotations

import re
import shutil
import socket
import ssl

import psutil
import pytest

from tests.support.composed import read_env
from tests.support.processes import until

SECRET = re.compile(r"PASSWORD$|KEY$")


def test_an_experiment_goes_through_the_proxy_to_postgresql_and_the_store(team):
    result = team.experiment
    assert result["status"] == "completed"
    assert [fold["status"] for fold in result["backbones"]["ncnn"]["folds"]] == ["completed"] * 2
    runs = team.runs("ann")
    assert result["experiment_run_id"] in runs
    assert team.query("mlflow", "SELECT count(*) FROM runs") == str(len(runs)) == "4"
    keys = [key for key in team.objects if f"/{result['experiment_run_id']}/artifacts/report.html" in key]
    assert len(keys) == 1
    assert keys[0].startswith("artifacts/")


def test_prefect_recorded_the_run_and_its_worker_waits_for_more(team):
    assert team.experiment
    sign_in = tuple(team.secret("prefect", "PREFECT_SERVER_API_AUTH_STRING").split(":"))

    def asked(path: str) -> list[dict[str, object]]:
        answer = team.call("POST", f"{team.prefect}/{path}", auth=sign_in, json={})
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert any(run["state_type"] == "COMPLETED" for run in asked("flow_runs/filter"))
    workers = until(lambda: asked("work_pools/foldcam-process/workers/filter"), 30, "the worker's first sign")
    assert [(worker["name"], worker["status"]) for worker in workers] == [("compose", "ONLINE")]
    assert int(team.query("prefect", "SELECT count(*) FROM flow_run")) >= 1


def test_artifacts_come_through_the_server_and_not_from_the_store(team):
    """MLflow would send its clients to the store's own address, which is out of reach from where people are."""
    assert team.call("GET", "/api/3.0/mlflow/server-info", "ann").status_code == 404
    inside = f"http://127.0.0.1:{team.stack.ports[5000]}/api/3.0/mlflow/server-info"
    assert team.call("GET", inside, "ann").json()["multipart_downloads_enabled"] is True
    worker = team.stack.services["worker"].environment
    assert worker["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] == worker["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] == "false"


def test_who_may_read_reads_and_cannot_write(team):
    run_id = team.experiment["experiment_run_id"]
    assert team.runs("bob") == team.runs("ann")
    experiment = team.call("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}", "bob").json()["run"]["info"]
    artifact = f"/api/2.0/mlflow-artifacts/artifacts/{experiment['experiment_id']}/{run_id}/artifacts/comparison.csv"
    before = team.objects
    assert team.call("GET", artifact, "bob").content == team.call("GET", artifact, "ann").content != b""
    writes = [
        ("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": experiment["experiment_id"]}),
        ("POST", "/api/2.0/mlflow/runs/log-metric", {"run_id": run_id, "key": "a", "value": 1.0, "timestamp": 1}),
        ("POST", "/api/2.0/mlflow/runs/set-tag", {"run_id": run_id, "key": "a", "value": "b"}),
        ("POST", "/api/2.0/mlflow/runs/delete", {"run_id": run_id}),
        ("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": experiment["experiment_id"]}),
        ("PUT", artifact, None),
        ("DELETE", artifact, None),
    ]
    for method, path, body in writes:
        answer = team.call(method, path, "bob", **({"json": body} if body else {"data": b"bob was here"}))
        assert answer.status_code == 403, (path, answer.text)
    assert team.call("POST", writes[1][1], "ann", json=writes[1][2]).status_code == 200
    assert team.objects == before


def test_nobody_comes_in_without_a_sign_in(team):
    mlflow = ["/", "/ajax-api/2.0/mlflow/experiments/search?max_results=5", "/api/2.0/mlflow/users/current"]
    mlflow += ["/api/2.0/mlflow-artifacts/artifacts", "/graphql", "/get-artifact?path=a&run_uuid=b", "/signup"]
    for path in mlflow:
        assert team.call("GET", path).status_code == 401, path
        assert team.call("GET", path, auth=("ann", "not hers at all")).status_code == 401, path
    for path in ("flows/count", "flow_runs/filter", "deployments/filter", "block_documents/filter"):
        for wrong in (None, ("team", "not theirs at all")):
            assert team.call("POST", f"{team.prefect}/{path}", json={}, auth=wrong).status_code == 401, path


def test_other_names_and_other_pages_are_refused(team):
    assert team.call("GET", "/", headers={"Host": "elsewhere.example"}).status_code == 421
    assert _handshake(team, "localhost") == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        _handshake(team, "elsewhere.example")
    assert team.call("GET", team.mlflow.replace("https", "http")).status_code == 400
    search = "/api/2.0/mlflow/experiments/search"
    foreign = team.call("POST", search, "ann", json={"max_results": 1}, headers={"Origin": "https://elsewhere.example"})
    assert foreign.status_code == 403
    own = team.call("POST", search, "ann", json={"max_results": 1}, headers={"Origin": team.mlflow})
    assert own.status_code == 200
    assert own.headers["Strict-Transport-Security"]
    assert "Server" not in own.headers


def _handshake(team, name: str) -> str | None:
    context = ssl.create_default_context(cafile=str(team.certificate))
    with (
        socket.create_connection(("127.0.0.1", team.stack.ports[8443])) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured.version()


def test_figures_are_for_inside_and_signed_in(team):
    inside = f"http://127.0.0.1:{team.stack.ports[5000]}/metrics"
    assert team.call("GET", "/metrics", "keeper").status_code == 404
    assert team.call("GET", inside).status_code == 401
    assert "mlflow_http_request_total" in team.call("GET", inside, "keeper").text


def test_everything_listens_on_loopback_alone(team):
    listening = {
        (name, connection.laddr.ip)
        for name, processes in team.stack.processes().items()
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN or (connection.type.name == "SOCK_DGRAM" and not connection.raddr)
    }
    assert {name for name, _ in listening} >= {"database", "store", "mlflow", "prefect", "proxy"}
    assert {address for _, address in listening} <= {"127.0.0.1", "::1"}


def test_no_secret_stands_on_a_command_line_or_in_a_log(team, secrets):
    assert team.experiment
    values = {value for name, value in read_env(secrets).items() if SECRET.search(name)} | {*team.passwords.values()}
    assert len(values) == 11
    shown = [" ".join(process.cmdline()) for every in team.stack.processes().values() for process in every]
    shown += [team.stack.log(name) for name in team.stack.processes()]
    assert not [value for value in values for text in shown if value in text]


def test_each_server_sees_its_own_databases_only(team):
    own = {"PGUSER": "mlflow", "PGPASSWORD": team.secret("mlflow", "PGPASSWORD")}
    assert team.query("mlflow_sign_in", "SELECT 1", **own) == "1"
    assert "permission denied" in team.query("prefect", "SELECT 1", **own)
    assert "password authentication failed" in team.query("mlflow", "SELECT 1", **own | {"PGPASSWORD": "x" * 20})


def test_the_worker_has_an_account_of_its_own_without_the_administrators_rights(team):
    sign_in = ("worker", team.secret("worker", "MLFLOW_TRACKING_PASSWORD"))
    current = team.call("GET", "/api/2.0/mlflow/users/current", auth=sign_in)
    assert current.json()["user"]["is_admin"] is False


@pytest.mark.long
def test_the_workers_account_follows_a_changed_secret(team):
    changed = team.stack.run("accounts", "worker-account", MLFLOW_WORKER_PASSWORD="another-one-of-its-own")
    assert changed.returncode == 0, changed.stderr
    current = team.call("GET", "/api/2.0/mlflow/users/current", auth=("worker", "another-one-of-its-own"))
    assert current.status_code == 200


def test_what_was_wiped_comes_back_from_the_backup(team, monkeypatch):
    run_id = team.experiment["experiment_run_id"]
    runs, objects = team.runs("ann"), team.objects
    stack = team.stack
    made = stack.run("backup", "backup")
    assert made.returncode == 0, made.stderr
    busy = stack.run("restore", "--replace")
    assert (busy.returncode, "connected to mlflow" in busy.stderr) == (2, True), busy

    stack.down()
    shutil.rmtree(stack.volume("database"))
    stack.up("database", "bucket")
    assert team.objects == {}
    restored = stack.run("restore")
    assert restored.returncode == 0, restored.stderr
    assert team.objects == objects
    stack.up("mlflow")
    monkeypatch.setattr(team, "mlflow", f"http://127.0.0.1:{stack.ports[5000]}")
    assert team.runs("bob") == runs
    assert team.call("POST", "/api/2.0/mlflow/runs/delete", "bob", json={"run_id": run_id}).status_code == 403
