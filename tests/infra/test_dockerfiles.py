"""The images, as far as their Dockerfiles tell: who runs in them, what they stand on, what comes into them."""

from __future__ import annotations

import configparser
import fnmatch
import json
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.support.composed import read_compose, read_env
from tests.support.dockerfiles import HERE, Image, image, stages

DOCKER = HERE / "infra" / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
TARGETS = {
    "servers": ("mlflow", "prefect"),
    "worker": ("cpu", "gpu"),
    "stores": ("database", "keeper", "store"),
    "proxy": ("proxy",),
}
IMAGES = {target: image(DOCKER / f"{name}.Dockerfile", target) for name, every in TARGETS.items() for target in every}
LOCKS = ("mlflow", "prefect", "worker-cpu", "worker-gpu", "build")
each_image = pytest.mark.parametrize("target", IMAGES)
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_these_are_all_and_the_compose_file_builds_them():
    assert {file.stem for file in FILES} == set(TARGETS)
    variables = dict.fromkeys(read_env(HERE / "infra/.env.example"), "x")
    built = {
        service.settings["build"]["target"] for service in read_compose(HERE / "infra/compose.yaml", variables).values()
    }
    assert built == set(IMAGES) - {"gpu"}


@each_file
def test_every_base_has_a_version(file):
    own = stages(file)
    for stage in own.values():
        assert stage.base in own or re.search(r":[\w.-]*\d+\.\d+[\w.-]*$", stage.base.partition("@")[0]), stage.base


def test_python_is_one_that_foldcam_runs_on():
    wanted = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["requires-python"]
    bases = {found.base for found in IMAGES.values() if found.base.startswith("python:")}
    assert len(bases) == 1
    assert SpecifierSet(wanted).contains(re.findall(r":([\d.]+)", min(bases))[0])


@each_image
def test_nobody_is_root(target):
    user = IMAGES[target].last("USER")
    assert re.fullmatch("10001:10001|postgres", user)
    made = [text for text in IMAGES[target].steps("RUN") if "10001" in text]
    assert made or user == "postgres"


@each_image
def test_no_secret_is_built_in(target):
    found = IMAGES[target]
    named = [*found.environment, *(text.split("=")[0] for text in found.steps("ARG"))]
    assert not [name for name in named if re.search("PASSWORD|SECRET|TOKEN|AUTH_STRING|ACCESS_KEY|CREDENTIAL", name)]
    assert not list(found.steps("ADD"))


@each_image
def test_it_says_whether_it_is_well_as_the_compose_file_does(target):
    check = IMAGES[target].last("HEALTHCHECK")
    assert "CMD [" in check
    variables = dict.fromkeys(read_env(HERE / "infra/.env.example"), "x")
    for service in read_compose(HERE / "infra/compose.yaml", variables).values():
        asked = service.settings["healthcheck"].get("test")
        if asked and service.settings["build"]["target"] == target:
            assert [word for word in asked[1:] if "--port" not in word] == json.loads(check.partition("CMD ")[2])


@each_file
def test_what_is_copied_is_there_and_let_through(file):
    let_through = [line[1:] for line in (HERE / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = {source for name in stages(file) for source in image(file, name).copies.values()}
    for source in copied:
        path = str(source.relative_to(HERE))
        assert source.exists(), path
        assert any(path == place or path.startswith(f"{place}/") for place in let_through), path
    assert copied


def test_the_context_holds_no_secret_and_no_data():
    lines = (HERE / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    held_back = [line for line in lines if line.startswith("**/")]
    assert any(fnmatch.fnmatch("infra/.env", pattern) for pattern in held_back)
    assert not {"!.", "!infra", "!tests", "!mlruns"} & set(lines)


@each_file
def test_packages_come_with_hashes(file):
    installs = [text for name in stages(file) for text in image(file, name).steps("RUN") if "pip install" in text]
    for text in installs:
        for one in re.findall(r"pip install [^&]*", text):
            assert "--require-hashes --no-deps" in one or "--no-deps --no-index" in one, one


@pytest.mark.parametrize("name", LOCKS)
def test_the_images_hold_what_the_tests_ran_with(name):
    """A package of requirements.lock has the same version and hashes here, and is what is installed."""
    ours, theirs = _locked(HERE / "requirements.lock"), _locked(DOCKER / f"{name}.lock")
    assert theirs
    assert all(hashes for _, hashes in theirs.values())
    shared = set(ours) & set(theirs)
    for package in shared:
        assert str(theirs[package][0].specifier) == str(ours[package][0].specifier), package
        assert theirs[package][1] == ours[package][1], package
    if name in ("mlflow", "prefect"):
        assert shared == set(theirs)
    for package in shared:
        requirement, _ = theirs[package]
        if name != "worker-gpu" and (requirement.marker is None or requirement.marker.evaluate()):
            assert requirement.specifier.contains(version(package), prereleases=True), package


def test_the_servers_images_are_small():
    """Neither TensorFlow nor what only the tests need."""
    for name in ("mlflow", "prefect"):
        assert not {"tensorflow", "tensorflow-cpu", "ray", "pytest", "moto"} & set(_locked(DOCKER / f"{name}.lock"))
    assert not {"pytest", "moto", "ruff"} & set(_locked(DOCKER / "worker-cpu.lock"))
    assert {"tensorflow", "nvidia-cudnn-cu12"} <= set(_locked(DOCKER / "worker-gpu.lock"))


@pytest.mark.parametrize(
    "file", sorted([*DOCKER.glob("*.sh"), *HERE.glob("infra/backup/*.sh"), HERE / "infra/secrets.sh"])
)
def test_scripts_can_be_read_by_their_shell(file):
    shell = "bash" if "bash" in file.read_text().splitlines()[0] or file.name == "common.sh" else "sh"
    subprocess.run([shell, "-n", str(file)], check=True)


def test_the_sign_in_file_is_what_mlflow_reads(monkeypatch):
    from mlflow.server.auth.config import read_auth_config

    file = HERE / "mlflow/basic_auth.ini"
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(file))
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_USERNAME", "keeper")
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", "0123")
    found = read_auth_config()
    assert (found.default_permission, found.auth_cache_ttl_seconds) == ("READ", 60)
    assert (found.database_uri, found.admin_username) == ("postgresql:///mlflow_sign_in", "keeper")
    parser = configparser.ConfigParser()
    parser.read(file)
    assert "admin_password" not in parser["mlflow"]


def test_one_command_pins_every_base_by_digest(tmp_path):
    for file in (*FILES, DOCKER / "digests.sh"):
        shutil.copy(file, tmp_path)
    digest = f"sha256:{'5' * 64}"
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho {digest}\n")
    docker.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    for _ in range(2):
        done = subprocess.run(["sh", str(tmp_path / "digests.sh")], env=environment, capture_output=True, check=True)
    for file in FILES:
        before, after = stages(file), stages(tmp_path / file.name)
        for name, stage in after.items():
            own = stage.base in after
            assert stage.base == (before[name].base if own else f"{before[name].base}@{digest}")
    assert done.stdout == b""
    assert not list(tmp_path.glob("*.before"))


@pytest.mark.long
@pytest.mark.parametrize("target", ["mlflow", "prefect", "cpu"])
def test_the_steps_that_build_an_image_work(target, tmp_path):
    """Run the build stages' own commands in a folder, but for the worker's own packages, which are gigabytes."""
    file = DOCKER / ("worker" if target == "cpu" else "servers")
    built = image(file.with_suffix(".Dockerfile"), "build" if target == "cpu" else f"build-{target}")
    places = {"/opt/": f"{tmp_path}/", "/tmp/": f"{tmp_path}/", "/dist": f"{tmp_path}/dist"}
    _copy(built, tmp_path)
    for text in built.steps("RUN"):
        if "useradd" not in text:
            native = re.sub("|".join(places), lambda found: places[found[0]], text)
            subprocess.run(["sh", "-ec", native], cwd=tmp_path, check=True)
    if target == "cpu":
        [wheel] = (tmp_path / "dist").glob("*.whl")
        assert wheel.name.startswith("foldcam-")
        assert {"flows/infra/prefect.yaml", "flows/infra/notices/failed.yaml"} <= set(ZipFile(wheel).namelist())
    else:
        subprocess.run([str(tmp_path / f"foldcam/bin/{target}"), "--version"], check=True)


def _copy(built: Image, folder: Path) -> None:
    for to, source in built.copies.items():
        target = folder / to.removeprefix("/tmp/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


def _locked(file: Path) -> dict[str, tuple[Requirement, frozenset[str]]]:
    text = re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.M).replace("\\\n", " ")
    found = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        requirement = Requirement(line.partition(" --hash")[0])
        found[requirement.name] = (requirement, frozenset(re.findall(r"--hash=(\S+)", line)))
    return found
