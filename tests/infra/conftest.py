from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.composed import read_env
from tests.support.stack import Stack, needed_programs
from tests.support.team import Team

INFRA = Path(__file__).parents[2] / "infra"


@pytest.fixture(scope="session")
def secrets(tmp_path_factory) -> Path:
    """An .env as the one command makes it."""
    file = tmp_path_factory.mktemp("secrets") / ".env"
    subprocess.run(["sh", str(INFRA / "secrets.sh"), str(file)], check=True, capture_output=True)
    return file


@pytest.fixture(scope="module")
def stack(secrets) -> Iterator[Stack]:
    """The compose file's services, of which none runs yet."""
    needed_programs()
    folder = Path(tempfile.mkdtemp(prefix="foldcam-team-"))
    folder.chmod(0o755)
    own = {"MLFLOW_PROCESSES": "1", "FOLDCAM_DATA": str(folder / "data"), "BACKUP_KEEP_DAYS": "7"}
    stack = Stack(INFRA / "compose.yaml", folder, read_env(secrets) | own)
    try:
        yield stack
    finally:
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def team(stack) -> Team:
    """The servers, but for the backups' clock."""
    stack.up("worker", "proxy")
    return Team(stack)
