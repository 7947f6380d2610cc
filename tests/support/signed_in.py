"""A real MLflow server with sign-in, as a team has it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from flows.runners import free_port
from tests.support.servers import running

ADMIN = "root-of-tests"


@dataclass(frozen=True)
class SignedInServer:
    """Where it answers, where it keeps everything, and the first administrator's password."""

    url: str
    folder: Path
    admin_password: str

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def variables(self, user: str = ADMIN, password: str | None = None) -> dict[str, str]:
        """Give the variables that sign a command in."""
        given = self.admin_password if password is None else password
        return {
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": given,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        }

    @contextmanager
    def as_user(self, user: str = ADMIN, password: str | None = None) -> Iterator[MlflowClient]:
        """Sign this process in and give a client."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables(user, password).items():
                patch.setenv(name, value)
            mlflow.set_tracking_uri(None)
            yield MlflowClient(self.url)


@contextmanager
def signed_in_server(folder: Path, empty_store: Path, admin_password: str) -> Iterator[SignedInServer]:
    """Run MLflow's server with basic-auth while the block lasts; whoever has no right of its own may read."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    settings = folder / "basic_auth.ini"
    settings.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder / 'auth.db'}\n"
        f"admin_username = {ADMIN}\nauth_cache_ttl_seconds = 60\n",
        encoding="utf-8",
    )
    port = free_port()
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--artifacts-destination", str(folder / "artifacts")]
    own = {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_PASSWORD": admin_password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only-for-tests",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    url = f"http://127.0.0.1:{port}"
    with running(command, folder, f"{url}/health", "MLflow's server", **own):
        yield SignedInServer(url, folder, admin_password)
