"""What a compose file alone can break: names that lead nowhere, open ports, images of no version, default secrets."""

from __future__ import annotations

import re
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.support.composed import VARIABLE, Service, Unset, filled, read_compose, read_env

INFRA = Path(__file__).parents[2] / "infra"
FILE = INFRA / "compose.yaml"
EXAMPLE = read_env(INFRA / ".env.example")
PLACEHOLDER = "change-me"
CONTENT = yaml.safe_load(FILE.read_text())
FILLED = {name: value if value != PLACEHOLDER else "x" for name, value in EXAMPLE.items()}
SERVICES = read_compose(FILE, FILLED)
USED = {found["name"]: found["kind"] for found in VARIABLE.finditer(FILE.read_text())}
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_the_file_and_the_example_name_the_same_variables():
    assert set(USED) == set(EXAMPLE)


def test_every_secret_has_to_be_set_and_nothing_else_has():
    assert {name for name, kind in USED.items() if kind == "?"} == _secrets()
    assert {name for name in USED if re.search("PASSWORD|SECRET|KEY", name)} - {"BACKUP_KEEP_DAYS"} == _secrets()


@pytest.mark.parametrize("name", sorted(name for name, kind in USED.items() if kind == "?"))
def test_an_empty_secret_stops_the_file_from_being_read(name):
    with pytest.raises(Unset, match=f"{name}: run sh infra/secrets.sh"):
        filled(CONTENT, FILLED | {name: ""})


def test_defaults_are_those_of_the_example():
    defaults = {found["name"]: found["text"] for found in VARIABLE.finditer(FILE.read_text()) if found["kind"] == "-"}
    assert defaults == {name: value for name, value in EXAMPLE.items() if value != PLACEHOLDER}


@each_service
def test_names_lead_somewhere(service: Service):
    settings = service.settings
    networks, volumes = settings["networks"], service.volumes.values()
    assert set(networks) <= set(CONTENT["networks"])
    assert {name for name in volumes if not name.startswith((".", "/"))} <= set(CONTENT["volumes"])
    for name, needs in settings.get("depends_on", {}).items():
        restart = SERVICES[name].settings["restart"]
        wanted = "service_completed_successfully" if restart == "on-failure" else "service_healthy"
        assert needs == {"condition": wanted}, name
    texts = [*service.environment.values(), *service.command]
    for other, port in re.findall(rf"(?:^|//)({'|'.join(SERVICES)}):(\d+)", "\n".join(texts), re.M):
        assert int(port) in SERVICES[other].ports
        assert set(networks) & set(SERVICES[other].settings["networks"]), f"{service.name} cannot reach {other}"
    for name, value in service.environment.items():
        if name.endswith("HOST") and value in SERVICES:
            assert set(networks) & set(SERVICES[value].settings["networks"]), f"{service.name} cannot reach {value}"


def test_every_volume_and_network_is_used():
    volumes = {name for service in SERVICES.values() for name in service.volumes.values()}
    assert set(CONTENT["volumes"]) <= volumes
    assert set(CONTENT["networks"]) == {name for one in SERVICES.values() for name in one.settings["networks"]}


def test_the_proxy_alone_is_reached_from_outside_and_on_loopback_unless_told_otherwise():
    published = {name: one.settings["ports"] for name, one in SERVICES.items() if _ports(one)}
    assert published == {"proxy": ["127.0.0.1:8443:8443", "127.0.0.1:8444:8444"]}
    inside = {name for name, network in CONTENT["networks"].items() if network.get("internal")}
    assert inside == {"inside", "stores"}
    assert {name for name, one in SERVICES.items() if set(one.settings["networks"]) == {"stores"}} >= {
        "database",
        "store",
    }


@each_service
def test_a_container_may_do_no_more_than_it_must(service: Service):
    settings = service.settings
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "network_mode", "pid", "user"} & set(settings)
    assert not [path for path in service.volumes.values() if "docker.sock" in path]


@each_service
def test_it_is_watched_and_started_again(service: Service):
    lasting = service.settings["restart"] == "unless-stopped"
    assert service.settings["restart"] in ("unless-stopped", "on-failure", "no")
    assert ("test" in service.settings["healthcheck"]) == lasting
    if lasting:
        assert service.settings["healthcheck"]["retries"] >= 2


@each_service
def test_the_image_is_ours_at_this_version(service: Service):
    version = tomllib.loads((INFRA.parent / "pyproject.toml").read_text())["project"]["version"]
    assert re.fullmatch(rf"foldcam(/\w+)?:{re.escape(version)}", service.settings["image"])


@each_service
def test_what_is_written_has_a_place_to_be_written_to(service: Service):
    mounted = [*service.volumes, *(text.split(":")[0] for text in service.settings["tmpfs"])]
    for name, value in (service.image.environment | service.environment).items():
        if re.search("_HOME$|^HOME$|_FOLDER$|DIRECTORY$", name):
            assert any(value == place or value.startswith(f"{place}/") for place in mounted), name


def test_secrets_are_guarded_where_they_are_used():
    """Each service is started by `guard`, with the names of all variables that a secret of .env goes into."""
    marked = read_compose(FILE, FILLED | {name: f"<{name}>" for name in _secrets()})
    for service in marked.values():
        secret = {name for name, value in service.environment.items() if "<" in value}
        if secret:
            guard, *rest = service.command
            assert guard == "guard", service.name
            assert set(rest[: rest.index("--")]) == secret, service.name


@pytest.mark.parametrize("name", sorted(name for name, kind in USED.items() if kind == "?"))
def test_a_placeholder_stops_every_service_that_uses_it(name, secrets):
    variables = read_env(secrets)
    proper, bad = read_compose(FILE, variables), read_compose(FILE, variables | {name: PLACEHOLDER})
    changed = [service for service in bad.values() if service.environment != proper[service.name].environment]
    assert changed
    for service in changed:
        done = _guarded(service)
        assert done.returncode == 78, (service.name, done)
        assert "nothing was started" in done.stderr


@pytest.mark.parametrize("bad", ["", "short", "PASSWORD" * 4, "a" * 24, "team:", "Example-of-a-long-one"])
def test_the_guard_refuses_what_everybody_could_guess_and_does_not_show_it(bad, secrets):
    proper = read_compose(FILE, read_env(secrets))["prefect"]
    for name in ("PREFECT_SERVER_DATABASE_PASSWORD", "PREFECT_SERVER_API_AUTH_STRING"):
        done = _guarded(replace(proper, settings=proper.settings | {"environment": proper.environment | {name: bad}}))
        assert (done.returncode, done.stdout) == (78, "")
        assert f"{name} " in done.stderr
        assert not bad or bad not in done.stderr


def test_random_secrets_stop_nothing(secrets):
    for service in read_compose(FILE, read_env(secrets)).values():
        if service.command[0] == "guard":
            done = _guarded(service)
            assert (done.returncode, done.stdout) == (0, "started\n"), done


def test_the_docs_say_what_each_secret_is():
    page = (INFRA.parent / "docs/servers.md").read_text()
    table = page.partition("## What each secret is")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([A-Z_]+)`", table)) - {"MLFLOW_ADMIN", "PREFECT_USER"} == _secrets()
    assert set(re.findall(r"docker compose run --rm (\w+)", page)) <= set(SERVICES)


def test_secrets_are_random_and_for_their_owner_alone(secrets, tmp_path):
    made = read_env(secrets)
    assert set(made) == set(EXAMPLE)
    assert {name: made[name] for name in made if name not in _secrets()} == {
        name: value for name, value in EXAMPLE.items() if value != PLACEHOLDER
    }
    values = [made[name] for name in _secrets()]
    assert len(set(values)) == len(values)
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in values)
    assert secrets.stat().st_mode & 0o777 == 0o600


def test_secrets_that_are_there_are_left_alone(secrets):
    before = secrets.read_bytes()
    again = subprocess.run(["sh", str(INFRA / "secrets.sh"), str(secrets)], capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert secrets.read_bytes() == before
    assert [path.name for path in secrets.parent.iterdir()] == [secrets.name]


def _guarded(service: Service) -> subprocess.CompletedProcess[str]:
    """Run a service's guard, with a program in place of what it guards."""
    names = service.command[1 : service.command.index("--")]
    return subprocess.run(
        ["sh", str(INFRA / "docker/guard.sh"), *names, "--", "echo", "started"],
        env={"PATH": "/usr/bin:/bin"} | service.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _secrets() -> set[str]:
    return {name for name, value in EXAMPLE.items() if value == PLACEHOLDER}


def _ports(service: Service) -> list[str]:
    return service.settings.get("ports", [])
