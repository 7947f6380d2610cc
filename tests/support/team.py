"""A team's servers as people reach them: addresses, users, and the command `foldcam` with a sign-in."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import boto3
import requests

from tests.support.command import foldcam
from tests.support.images import write_classes
from tests.support.stack import Stack
from tests.support.studio import Studio, one_json, quick

KEEPER = "keeper"


class Team:
    """A running stack, and what people do with it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.mlflow = f"https://localhost:{stack.ports[8443]}"
        self.prefect = f"https://localhost:{stack.ports[8444]}/api"
        self.certificate = stack.volume("proxy") / "caddy/pki/authorities/local/root.crt"

    def secret(self, service: str, name: str) -> str:
        return self.stack.services[service].environment[name]

    @cached_property
    def passwords(self) -> dict[str, str]:
        """The users' passwords: the administrator's, and those of ann and bob, who are made now."""
        found = {KEEPER: self.secret("mlflow", "MLFLOW_AUTH_ADMIN_PASSWORD")}
        studio = self.studio(KEEPER, found[KEEPER])
        with studio.inside():
            made = foldcam("users", "import", studio.write({"users": {"ann": {}, "bob": {}}}), "--json")
        assert made.code == 0, made.err
        return found | {user["name"]: user["password"] for user in one_json(made.out)["added"]}

    def studio(self, user: str, password: str = "") -> Studio:
        """Give a place on a user's own machine."""
        folder = self.stack.folder / "people" / user
        folder.mkdir(parents=True, exist_ok=True)
        return Studio(
            folder,
            self.mlflow,
            self.prefect,
            {
                "MLFLOW_TRACKING_USERNAME": user,
                "MLFLOW_TRACKING_PASSWORD": password or self.passwords[user],
                "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.certificate),
                "PREFECT_API_AUTH_STRING": self.secret("prefect", "PREFECT_SERVER_API_AUTH_STRING"),
                "PREFECT_API_SSL_CERT_FILE": str(self.certificate),
            },
        )

    @cached_property
    def experiment(self) -> dict[str, Any]:
        """What `foldcam run` gave ann, run once."""
        studio = self.studio("ann")
        write_classes(studio.folder / "images", {"leaf": 8, "sky": 8})
        done = studio.foldcam("run", str(studio.write(quick("images"))), "--json", timeout=600)
        assert done.returncode == 0, done.stderr
        return one_json(done.stdout)

    def call(self, method: str, address: str, user: str = "", **options: Any) -> requests.Response:
        """Ask MLflow through the proxy, as a user or as nobody."""
        session = requests.Session()
        session.trust_env = False
        sign_in = (user, self.passwords[user]) if user else None
        url = address if "://" in address else self.mlflow + address
        options = {"auth": sign_in, "verify": str(self.certificate), "timeout": 60, "allow_redirects": False} | options
        return session.request(method, url, **options)

    def runs(self, user: str) -> dict[str, dict[str, Any]]:
        """Give the runs of ann's experiment by id, with their metrics and tags."""
        found = self.call("GET", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=quick", user)
        body = {"experiment_ids": [found.json()["experiment"]["experiment_id"]], "max_results": 100}
        answer = self.call("POST", "/api/2.0/mlflow/runs/search", user, json=body)
        assert answer.status_code == 200, answer.text
        return {run["info"]["run_id"]: run["data"] for run in answer.json()["runs"]}

    @property
    def objects(self) -> dict[str, bytes]:
        """What lies in the artifact store, by key."""
        bucket = self.bucket
        return {found.key: found.get()["Body"].read() for found in bucket.objects.all()}

    @property
    def bucket(self) -> Any:
        own = {name: self.secret("store", name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        store = boto3.resource(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.stack.ports[8333]}",
            region_name="us-east-1",
            aws_access_key_id=own["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=own["AWS_SECRET_ACCESS_KEY"],
        )
        return store.Bucket("foldcam")

    def query(self, database: str, text: str, **environment: str) -> str:
        """Ask PostgreSQL as the one that keeps it, or as who the environment says."""
        done = self.stack.execute("restore", "psql", "-XAt", "-c", text, database, **environment)
        return done.stdout.strip() if done.returncode == 0 else f"{done.returncode}: {done.stderr}"
