from __future__ import annotations

import base64
import json
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import psutil
import pytest

from flows.credentials import SERVICE, address
from tests.support.images import write_classes
from tests.support.isolation import SCRATCH
from tests.support.processes import ended
from tests.support.signed_in import ADMIN, signed_in_server
from tests.support.studio import Studio, one_json, quick

SECRETS = {
    "MLflow's administrator": "planted-Admin/pass+1of6",
    "the user in the keyring": "planted-Keyring/pass+2of6",
    "the user who may only read": "planted-Reader/pass+3of6",
    "Prefect": "planted-Prefect/pass+4of6",
    "the store": "planted-Storekey/pass+5of6",
    "the address": "planted-Address.pass-6of6",
}
HERE = Path(__file__).parents[2]
WRITER, READER = "writer-of-tests", "reader-of-tests"


def disguises(secret):
    """Give a secret in the forms in which it travels or is written down."""
    headers = [f"{user}:{secret}" for user in (ADMIN, WRITER, READER, "team")]
    coded = [base64.b64encode(text.encode()).decode().rstrip("=") for text in (secret, *headers)]
    return [secret, quote(secret, safe=""), json.dumps(secret)[1:-1], *coded]


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_store):
    with signed_in_server(tmp_path_factory.mktemp("team"), empty_store, SECRETS["MLflow's administrator"]) as made:
        from tasks.tracking.permissions import Permissions

        with made.as_user():
            permissions = Permissions(made.url)
            permissions.add(WRITER, SECRETS["the user in the keyring"])
            permissions.add(READER, SECRETS["the user who may only read"])
        yield made


@pytest.fixture(scope="module")
def place(tmp_path_factory, server, prefect_api):
    """A working folder whose variables hold secrets; MLflow's password is in the keyring alone."""
    folder, outside = tmp_path_factory.mktemp("studio"), tmp_path_factory.mktemp("outside")
    (folder / "tmp").mkdir()
    entry = {"user": WRITER, "password": SECRETS["the user in the keyring"]}
    (outside / "keyring.json").write_text(json.dumps({f"{SERVICE} {address(server.url)}": json.dumps(entry)}))
    write_classes(folder / "images", {"down": 8, "across": 8})
    return Studio(
        folder,
        server.url,
        prefect_api,
        {
            "PYTHONPATH": str(HERE),
            "PYTHON_KEYRING_BACKEND": "tests.support.kept_keyring.KeptKeyring",
            "FOLDCAM_TESTS_KEYRING": str(outside / "keyring.json"),
            "PREFECT_API_AUTH_STRING": f"team:{SECRETS['Prefect']}",
            "AWS_ACCESS_KEY_ID": "planted-key-id",
            "AWS_SECRET_ACCESS_KEY": SECRETS["the store"],
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "TMPDIR": str(folder / "tmp"),
        },
    )


def watched(studio, *arguments):
    """Run the command to its end; give its answer and every command line seen below it."""
    process, lines, over = studio.start(*arguments), set(), threading.Event()

    def look():
        while not over.wait(0.3 if lines else 0.02):  # a command that is refused is soon over
            try:
                below = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                lines.update(" ".join(own.cmdline()) for own in below)
            except psutil.Error:
                continue

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    with ended(process):
        out, err = process.communicate(timeout=400)
    over.set()
    watcher.join()
    answer = subprocess.CompletedProcess(arguments, process.returncode, out, err)
    return SimpleNamespace(answer=answer, lines=lines)


@pytest.fixture(scope="module")
def told(place):
    """What was printed and stood in command lines: an experiment half of which fails, and ones that are refused."""
    mad = {"optimizer": {"name": "sgd", "learning_rate": 1e30}, "epochs": 3}
    backbones = {"ncnn": {"size": 34, "freeze": "none", "training": mad}, "vgg16": {"size": 32}}
    file = place.write(quick("images", name="guarded", backbones=backbones))

    def signed_in(user, secret):
        own = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": secret}
        return Studio(place.folder, place.tracking_uri, place.prefect_api, place.variables | own)

    again = ["run", str(file), "--fresh", "--backbone", "ncnn", "--fold", "0"]
    in_address = place.tracking_uri.replace("://", f"://{ADMIN}:{SECRETS['the address']}@")
    return {
        "done": watched(place, "run", str(file), "--fold", "0", "--json"),
        "may not": watched(signed_in(READER, SECRETS["the user who may only read"]), *again),
        "wrong password": watched(signed_in(ADMIN, SECRETS["the address"]), "run", str(file)),
        "in the address": watched(Studio(place.folder, in_address, place.prefect_api, place.variables), "champion"),
    }


def test_the_password_in_the_keyring_was_enough(told):
    answer = told["done"].answer
    assert answer.returncode == 3, answer.stderr
    backbones = one_json(answer.stdout)["backbones"]
    states = {name: [fold["status"] for fold in own["folds"]] for name, own in backbones.items()}
    assert states == {"ncnn": ["failed"], "vgg16": ["completed"]}


@pytest.mark.parametrize(
    ("which", "parts"),
    [
        ("may not", [READER, "foldcam users allow"]),
        ("wrong password", [ADMIN, "MLFLOW_TRACKING_PASSWORD", "foldcam login"]),
        ("in the address", ["MLFLOW_TRACKING_URI", "foldcam login"]),
    ],
)
def test_a_refusal_is_one_sentence_that_says_what_to_do(told, which, parts):
    answer = told[which].answer
    assert answer.returncode == 2, answer.stderr
    assert "Traceback" not in answer.stderr
    message = answer.stderr.splitlines()[-1]
    assert [part for part in parts if part not in message] == []


def test_no_secret_is_printed_or_stands_in_a_command_line(told):
    for which, own in told.items():
        assert any("flows.cli" in line for line in own.lines), which
        text = "\n".join([own.answer.stdout, own.answer.stderr, *own.lines])
        for whose, secret in SECRETS.items():
            assert [form for form in disguises(secret) if form in text] == [], f"{which}: the password of {whose}"


def test_no_secret_is_in_any_file_of_the_stores_the_cache_or_the_logs(told, place, server):
    folders = [place.folder, server.folder, SCRATCH]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    contents = {file: file.read_bytes() for file in files}
    seen = {file.name for file, content in contents.items() if b"guarded" in content}
    assert {"mlflow.db", "experiment.yaml"} <= seen
    assert any(name.startswith("prefect.db") for name in seen)
    assert any(file.is_relative_to(server.folder / "artifacts") for file in files)
    for whose, secret in SECRETS.items():
        forms = [form.encode() for form in disguises(secret)]
        found = [file for file, content in contents.items() if any(form in content for form in forms)]
        assert found == [], f"the password of {whose}"
