from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.support.composed import read_compose, read_env
from tests.support.kustomized import Pod, documents, expanded, kustomized, pods

INFRA = Path(__file__).parents[2] / "infra"
HERE = INFRA / "kubernetes"
FOLDERS = [HERE / "base", HERE / "overlays" / "small", HERE / "overlays" / "gpu"]
NEWEST = kubernetes_validate.latest_version()
SECRET_NAMES = re.compile(r"(PASSWORD|SECRET|(?<!STRING_)SECRET_KEY|ACCESS_KEY(_ID)?|AUTH_STRING|TOKEN)$")


@pytest.fixture(scope="module")
def env_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("env") / ".env"
    subprocess.run(["sh", str(INFRA / "secrets.sh"), str(file)], check=True, capture_output=True)
    return file


@pytest.fixture(scope="module")
def secret(env_file):
    """The Secret as infra/kubernetes/secrets.sh prints it."""
    done = subprocess.run(["sh", str(HERE / "secrets.sh"), str(env_file)], check=True, capture_output=True, text=True)
    return yaml.safe_load(done.stdout)


@pytest.fixture(scope="module")
def secrets(secret):
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def manifests(request):
    return kustomized(request.param)


def job_of_a_run():
    """The Job that Prefect's worker makes of the template: the defaults filled in, and what it adds itself."""
    template = json.loads((HERE / "job-template.json").read_text())
    given = {name: own.get("default") for name, own in template["variables"]["properties"].items()}
    given |= {"name": "run", "labels": {"prefect.io/flow-run-id": "1"}, "command": ["prefect", "flow-run", "execute"]}

    def filled(value):
        if isinstance(value, dict):
            return {name: filled(below) for name, below in value.items()}
        if isinstance(value, list):
            return [filled(below) for below in value]
        whole = re.fullmatch(r"{{ (\w+) }}", value) if isinstance(value, str) else None
        if whole:
            return given[whole[1]]
        return re.sub(r"{{ (\w+) }}", lambda found: str(given[found[1]]), value) if isinstance(value, str) else value

    return filled(template["job_configuration"]["job_manifest"])


def all_pods(manifests):
    run = job_of_a_run()["spec"]["template"]
    return [*pods(manifests), Pod(job_of_a_run(), run["metadata"]["labels"], run["spec"])]


def named(manifests, kind):
    return {own["metadata"]["name"]: own for own in manifests if own["kind"] == kind}


def test_everything_is_as_kubernetes_schemas_want_it(manifests, secret):
    for own in [*manifests, secret, job_of_a_run()]:
        kubernetes_validate.validate(own, NEWEST, strict=True)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_file_is_listed_and_every_patch_changes_something_that_is_there(folder):
    settings = documents(folder / "kustomization.yaml")[0]
    listed = [*settings["resources"], *(patch["path"] for patch in settings.get("patches", []))]
    files = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == {name for name in listed if name.endswith(".yaml")}
    if "patches" in settings:
        assert kustomized(folder) != kustomized(HERE / "base")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_kustomize_itself_makes_the_same_of_it(folder):
    done = subprocess.run(["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True)

    def by_name(found):
        return {(own["kind"], own["metadata"]["name"]): own for own in found}

    assert by_name(yaml.safe_load_all(done.stdout)) == by_name(kustomized(folder))


def test_every_name_that_is_referred_to_is_there(manifests, secrets):
    settings = named(manifests, "ConfigMap")["foldcam"]["data"]
    claims, accounts = named(manifests, "PersistentVolumeClaim"), named(manifests, "ServiceAccount")
    used_settings, used_secrets = set(), set()
    for pod in all_pods(manifests):
        for entry in pod.container.get("env", []):
            source = entry.get("valueFrom", {})
            if "secretKeyRef" in source:
                assert source["secretKeyRef"]["name"] == "foldcam"
                used_secrets.add(source["secretKeyRef"]["key"])
            elif "configMapKeyRef" in source:
                assert source["configMapKeyRef"]["name"] == "foldcam"
                used_settings.add(source["configMapKeyRef"]["key"])
        own_claims = {own["metadata"]["name"] for own in pod.workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | own_claims
        assert {mount["name"] for mount in pod.container["volumeMounts"]} == volumes, pod.name
        for volume in pod.spec.get("volumes", []):
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
        assert pod.spec.get("serviceAccountName", "jobs") in accounts
        ports = {port["name"] for port in pod.container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert pod.container.get(probe, {}).get("httpGet", {}).get("port", "") in ports | {""}
    assert used_settings == set(settings)
    assert used_secrets | {"PREFECT_PASSWORD"} == set(secrets)


def test_selectors_find_their_pods_and_doors_their_services(manifests):
    found = list(pods(manifests))
    services = named(manifests, "Service")
    for name, service in services.items():
        if name == "nothing":
            continue
        (pod,) = [pod for pod in found if pod.fits(service["spec"]["selector"])]
        ports = {port["name"]: port["containerPort"] for port in pod.container["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for own in manifests:
        if own["kind"] in ("Deployment", "StatefulSet"):
            (pod,) = [pod for pod in found if pod.workload is own]
            assert pod.fits(own["spec"]["selector"]["matchLabels"])
            assert own["spec"].get("serviceName", "nothing") in services
    (door,) = named(manifests, "Ingress").values()
    backends = [path["backend"]["service"] for rule in door["spec"]["rules"] for path in rule["http"]["paths"]]
    assert {own["name"] for own in backends} == {"mlflow", "prefect", "nothing"}
    for own in backends:
        assert own["port"]["name"] in {port["name"] for port in services[own["name"]]["spec"]["ports"]}


def test_rules_are_about_pods_and_accounts_that_are_there(manifests):
    found = all_pods(manifests)
    for own in named(manifests, "PodDisruptionBudget").values():
        assert any(pod.fits(own["spec"]["selector"]["matchLabels"]) for pod in found)
    for own in named(manifests, "NetworkPolicy").values():
        selector = own["spec"]["podSelector"].get("matchLabels", {})
        assert not selector or any(pod.fits(selector) for pod in found), own["metadata"]["name"]
    for own in named(manifests, "RoleBinding").values():
        assert own["roleRef"]["name"] in named(manifests, "Role")
        assert {subject["name"] for subject in own["subjects"]} <= set(named(manifests, "ServiceAccount"))


def test_who_is_asked_for_something_answers_there_and_the_network_lets_both_through(manifests, secrets):
    settings = named(manifests, "ConfigMap")["foldcam"]["data"]
    services = named(manifests, "Service")
    policies = named(manifests, "NetworkPolicy").values()
    pairs = set()
    for pod in all_pods(manifests):
        seen = pod.environment(settings, secrets)
        asked = set(re.findall(r"http://(\w+):(\d+)", " ".join(seen.values())))
        for host, port in (("PGHOST", "PGPORT"), ("PREFECT_SERVER_DATABASE_HOST", "PREFECT_SERVER_DATABASE_PORT")):
            if host in seen and pod.name != "bucket":
                asked.add((seen[host], seen[port]))
        for name, port in asked:
            pairs.add((pod.name, name))
            (service,) = [own for own in services.values() if own["metadata"]["name"] == name]
            assert int(port) in {own["port"] for own in service["spec"]["ports"]}
            server = next(own for own in pods(manifests) if own.fits(service["spec"]["selector"]))
            assert lets(policies, "egress", "to", pod, server, int(port)), f"{pod.name} may not reach {name}"
            assert lets(policies, "ingress", "from", server, pod, int(port)), f"{name} does not listen to {pod.name}"
    assert {("mlflow", "database"), ("mlflow", "store"), ("run", "mlflow"), ("backup", "database")} <= pairs


def lets(policies, way, end, of, other, port):
    """Tell whether some policy of a pod lets it talk to another one on a port."""
    for policy in policies:
        if not of.fits(policy["spec"]["podSelector"].get("matchLabels", {})):
            continue
        for rule in policy["spec"].get(way, []):
            peers = [peer["podSelector"]["matchLabels"] for peer in rule[end] if "podSelector" in peer]
            if any(other.fits(peer) for peer in peers) and port in [own["port"] for own in rule["ports"]]:
                return True
    return False


def test_nobody_may_talk_to_anybody_unless_it_is_said():
    policies = named(kustomized(HERE / "base"), "NetworkPolicy")
    assert policies["nobody"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    listening = {
        name: [peer for rule in own["spec"].get("ingress", []) for peer in rule["from"]]
        for name, own in policies.items()
    }
    assert {name for name, peers in listening.items() if any("namespaceSelector" in peer for peer in peers)} == {
        "mlflow",
        "prefect",
    }


def test_pods_keep_to_the_restricted_standard_and_have_limits(manifests):
    for pod in all_pods(manifests):
        security, own = pod.spec["securityContext"], pod.container["securityContext"]
        assert security["runAsNonRoot"], pod.name
        assert security["runAsUser"] != 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in pod.container["resources"]["limits"]
        assert pod.spec["automountServiceAccountToken"] is (pod.name == "jobs")
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec)
        assert not [volume for volume in pod.spec.get("volumes", []) if "hostPath" in volume]
        assert re.search(r":\d", pod.container["image"]), "an image is pinned"


def test_no_secret_stands_in_a_manifest(manifests):
    for pod in all_pods(manifests):
        for entry in pod.container.get("env", []):
            if SECRET_NAMES.search(entry["name"]):
                assert "secretKeyRef" in entry.get("valueFrom", {}), f"{pod.name}: {entry['name']}"
    assert named(manifests, "Secret") == {}


ELSEWHERE = {
    "mlflow": {"MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"},
    "prefect": {"PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_UI_API_URL"},
    "worker": {"PREFECT_WORKER_WEBSERVER_HOST"},
}
"""What differs: people open two names here, two ports of one name there; and health is asked for from outside a pod."""


@pytest.mark.parametrize("name", ["database", "store", "bucket", "mlflow", "prefect", "accounts", "worker", "backup"])
def test_a_service_starts_as_in_the_compose_file(name, env_file, secrets):
    manifests = kustomized(HERE / "base")
    settings = named(manifests, "ConfigMap")["foldcam"]["data"]
    service = read_compose(INFRA / "compose.yaml", read_env(env_file))[name]
    (pod,) = [pod for pod in pods(manifests) if pod.name == name]
    seen = pod.environment(settings, secrets)
    assert pod.container["image"] == service.settings["image"]
    entrypoint = pod.container.get("command", service.image.start[0])
    command = [expanded(part, seen) for part in [*entrypoint, *pod.container.get("args", service.image.start[1])]]
    expected = [part.replace("--name=compose", "--name=kubernetes") for part in service.command if part != "--daily"]
    assert command == expected
    apart = ELSEWHERE.get(name, set())
    assert apart <= set(seen)
    wanted = {key: value for key, value in service.environment.items() if key not in apart}
    assert {key: seen.get(key) for key in wanted} == wanted
    paths = {mount["mountPath"] for mount in pod.container["volumeMounts"]}
    if name != "bucket":
        assert set(service.volumes) <= paths


def test_the_names_that_people_open_are_one_everywhere():
    manifests = kustomized(HERE / "base")
    settings = named(manifests, "ConfigMap")["foldcam"]["data"]
    (door,) = named(manifests, "Ingress").values()
    hosts = {settings["MLFLOW_HOST"], settings["PREFECT_HOST"]}
    assert {rule["host"] for rule in door["spec"]["rules"]} == hosts
    assert {host for own in door["spec"]["tls"] for host in own["hosts"]} == hosts
    (backup,) = named(manifests, "CronJob").values()
    assert backup["spec"]["schedule"].split()[1] == settings["BACKUP_HOUR"]


def test_mlflow_answers_to_the_ingress_and_to_the_workers_alone(secrets):
    manifests = kustomized(HERE / "base")
    settings = named(manifests, "ConfigMap")["foldcam"]["data"]
    (pod,) = [pod for pod in pods(manifests) if pod.name == "mlflow"]
    hosts = pod.environment(settings, secrets)["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert hosts == ["mlflow:5000", settings["MLFLOW_HOST"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_SECRET_KEY", "change-me"),
        ("PREFECT_PASSWORD", ""),
        ("STORE_SECRET_KEY", "short"),
        ("DATABASE_PASSWORD", None),
    ],
)
def test_no_secret_is_made_of_a_placeholder(env_file, tmp_path, name, value):
    lines = [line for line in env_file.read_text().splitlines() if not line.startswith(f"{name}=")]
    file = tmp_path / ".env"
    file.write_text("\n".join([*lines, *([] if value is None else [f"{name}={value}"])]) + "\n")
    done = subprocess.run(["sh", str(HERE / "secrets.sh"), str(file)], capture_output=True, text=True)
    assert done.returncode == 78
    assert done.stdout == ""
    assert name in done.stderr


def test_a_run_s_job_talks_to_mlflow_as_the_worker_does_and_holds_no_secret():
    def of_mlflow(pod):
        return [entry for entry in pod.container["env"] if entry["name"].startswith("MLFLOW_")]

    found = {pod.name: pod for pod in all_pods(kustomized(HERE / "base"))}
    assert sorted(map(str, of_mlflow(found["run"]))) == sorted(map(str, of_mlflow(found["worker"])))
