from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flows import load_flow_from_entrypoint

from flows.deploy import A_NEW_FOLDER, DEFAULT_FILE
from flows.deployed import check
from tests.support.command import foldcam
from tests.support.images import write_classes
from tests.support.studio import make_studio, one_json, quick

CONTENT = yaml.safe_load(DEFAULT_FILE.read_text(encoding="utf-8"))
KINDS = ("process", "docker", "kubernetes")
POOL = "night-watch"


@pytest.fixture(scope="module")
def deployed(prefect_api, tmp_path_factory):
    """The check and the nightly round given to a new pool, twice, after a dry run."""
    asked = ["deploy", "--pool", POOL, "--only", "check", "--only", "nightly", "--json"]
    asked += ["--experiment", str(tmp_path_factory.mktemp("night") / "eyes.yaml")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDCAM_TIMEZONE", "Europe/Berlin")
        patch.setenv("PREFECT_API_URL", prefect_api)
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        answers = [foldcam(*asked, "--dry-run"), foldcam(*asked), foldcam(*asked)]
    with get_client(sync_client=True) as client:
        own = {name: client.read_deployment_by_name(f"{name}/{name}-process") for name in ("check", "nightly")}
        pool = client.read_work_pool(POOL)
        codes = [
            status(client, own["check"].id, wrong) for wrong in ({"file": ""}, {"file": "x", "fresh": "maybe"}, {})
        ]
    return SimpleNamespace(answers=answers, own=own, pool=pool, codes=codes, asked=asked)


def status(client, deployment, parameters):
    try:
        client.create_flow_run_from_deployment(deployment, parameters=parameters)
    except PrefectHTTPStatusError as fault:
        return fault.response.status_code
    return 201


def rows(answer):
    assert answer.code == 0, answer
    return {own["name"]: own for own in one_json(answer.out)["deployments"]}


def test_a_dry_run_says_what_would_be_and_makes_nothing(deployed):
    dry, first, _ = (one_json(answer.out) for answer in deployed.answers)
    assert dry["dry_run"]
    assert dry["pool_is_new"]
    assert first["pool_is_new"]
    assert [own["id"] for own in dry["deployments"]] == [None, None]
    assert rows(deployed.answers[0])["check-process"]["is_new"]


def test_a_dry_run_changes_nothing_of_what_is_deployed(deployed, prefect_api, monkeypatch):
    """Not even what an interrupted call has left undone."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    own = deployed.own["check"].id
    with get_client(sync_client=True) as client:
        client.update_deployment(own, DeploymentUpdate(job_variables={"working_dir": A_NEW_FOLDER}))
        before = client.read_deployment(own)
        rows(foldcam(*deployed.asked, "--dry-run"))
        assert client.read_deployment(own) == before
    rows(foldcam(*deployed.asked))
    with get_client(sync_client=True) as client:
        assert "working_dir" not in client.read_deployment(own).job_variables


def test_applied_twice_nothing_is_there_twice(deployed):
    _, first, second = (rows(answer) for answer in deployed.answers)
    assert {name: own["id"] for name, own in first.items()} == {name: own["id"] for name, own in second.items()}
    assert [own["is_new"] for own in second.values()] == [False, False]
    assert len(deployed.own["nightly"].schedules) == 1
    assert f"--pool {POOL} --type process" in one_json(deployed.answers[2].out)["worker"]


def test_the_nightly_round_is_planned_for_two_in_the_morning_one_at_a_time(deployed):
    nightly = deployed.own["nightly"]
    schedule = nightly.schedules[0].schedule
    assert (schedule.cron, schedule.timezone) == ("0 2 * * *", "Europe/Berlin")
    assert nightly.parameters["file"].endswith("eyes.yaml")
    assert nightly.global_concurrency_limit.limit == 1
    assert nightly.concurrency_options.collision_strategy.value == "CANCEL_NEW"
    assert (nightly.tags, nightly.pull_steps) == (["foldcam"], [])


def test_with_a_server_for_the_record_no_run_works_in_a_folder_that_others_may_write_into(deployed):
    for own in deployed.own.values():
        assert "working_dir" not in own.job_variables
        assert own.work_pool_name == POOL


def test_the_findings_that_refuse_are_a_list_to_choose_from(deployed):
    schema = deployed.own["nightly"].parameter_openapi_schema
    assert "labels.few" in str(schema["properties"]["refuse"])
    assert "full path" in schema["properties"]["file"]["description"]


def test_bad_parameters_are_refused_before_anything_runs(deployed):
    assert deployed.codes == [409, 409, 409]


def test_a_pool_of_another_type_is_not_taken(deployed, prefect_api, monkeypatch):
    monkeypatch.setenv("FOLDCAM_DATA", "/data")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    message = foldcam("deploy", "--pool", POOL, "--type", "docker", "--dry-run").refused()
    assert "is of type process, not docker" in message


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "nightli"], "Did you mean nightly?"),
        (["--only", "nightly"], "--experiment FILE"),
        (["--type", "kube"], "kubernetes"),
        (["--type", "docker"], "FOLDCAM_DATA"),
        (["--file", "gone.yaml"], "gone.yaml"),
        (["--file", "bare.yaml"], "with one of cron, interval, rrule"),
        (["--file", "other.yaml", "--type", "docker"], "none for docker"),
    ],
)
def test_what_cannot_be_deployed_is_refused_with_the_mend(arguments, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {"name": "own-process", "entrypoint": "flows.deployed.check"}
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump({"deployments": [own | {"schedules": [{"timezone": "UTC"}]}]}))
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"deployments": [own]}))
    assert told in foldcam("deploy", *arguments).refused()


def test_without_a_server_that_lasts_nothing_is_deployed(monkeypatch, tmp_path):
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_SERVER_API_PORT, temporary_settings

    elsewhere = {PREFECT_API_URL: None, PREFECT_HOME: tmp_path, PREFECT_SERVER_API_PORT: 9}
    with temporary_settings(elsewhere):
        assert "foldcam ui" in foldcam("deploy", "--only", "check").refused()


@pytest.mark.parametrize("entry", CONTENT["deployments"], ids=lambda entry: entry["name"])
def test_every_entry_is_one_of_prefects_with_a_flow_that_is_there(entry):
    [read] = PrefectYamlModel.model_validate({"deployments": [entry]}).deployments
    assert load_flow_from_entrypoint(read.entrypoint).name
    assert entry["name"].endswith(KINDS)
    assert entry["tags"] == ["foldcam"]


def test_every_flow_is_there_for_every_kind_of_pool():
    names = {entry["name"].rpartition("-")[::2] for entry in CONTENT["deployments"]}
    assert names == {(flow, kind) for flow, _ in names for kind in KINDS}
    assert len(names) == len(CONTENT["deployments"]) == 15


def test_job_variables_are_ones_that_prefects_templates_have(prefect_api):
    with get_client(sync_client=True) as client:
        known = {name: own for package in client.read_worker_metadata().values() for name, own in package.items()}
    for entry in CONTENT["deployments"]:
        kind = entry["name"].rpartition("-")[2]
        template = known[kind]["default_base_job_configuration"]["variables"]["properties"]
        assert set(entry["work_pool"].get("job_variables", {})) <= set(template)


def test_every_variable_is_told_and_no_secret_is_among_them():
    text = DEFAULT_FILE.read_text(encoding="utf-8")
    variables = set(re.findall(r"\$(\w+)", text)) - {"NAME"}
    guide = (DEFAULT_FILE.parents[1] / "docs" / "schedules.md").read_text(encoding="utf-8")
    assert variables - {"FOLDCAM_POOL", "FOLDCAM_EXPERIMENT", "FOLDCAM_TIMEZONE"} <= set(re.findall(r"`(\w+)`", guide))
    assert not [name for name in variables if re.search("PASSWORD|TOKEN|SECRET|KEY|AUTH", name)]


def test_names_that_mean_harm_are_shown_as_they_are_on_prefects_pages(prefect_api, empty_store, tmp_path):
    studio = make_studio(tmp_path, empty_store, prefect_api)
    write_classes(studio.folder / "images", {"[a](javascript:alert(1))": 4, "<img src=x onerror=alert(2)>": 4})
    with studio.inside():
        state = check(str(studio.write(quick("images", name="names"))), return_state=True)
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
        [shown] = [found.data for found in client.read_artifacts(artifact_filter=wanted)]
    assert r"\[a\](javascript:alert(1))" in shown
    assert r"\<img src=x onerror=alert(2)\>" in shown
    assert not re.search(r"(?<!\\)[\[<]", shown)
