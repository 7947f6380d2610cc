"""The registered model: its versions, and the aliases `champion` and `previous`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from tasks.config import InputError
from tasks.dataset.wording import listed, nearest
from tasks.tracking.store import local_path

CHAMPION, PREVIOUS = "champion", "previous"
FINGERPRINT, PROMOTION, EXPERIMENT_RUN = "foldcam.fingerprint", "foldcam.promotion", "foldcam.experiment_run"
BACKBONES, DATA_DIGEST = "foldcam.backbones", "foldcam.data_digest"
"""Tags of versions."""

_LOGGED = "models:/"
_NOT_IN_NAMES = re.compile(r"[/:'\"%\x00-\x1f]+")


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes
    ----------
    number : str
        MLflow's number of it.
    tags : mapping of str to str
        What is tagged.
    run_id : str
        The experiment's run.
    created_ms : int
        When, in milliseconds since 1970.
    model_id : str
        The LoggedModel that it is; empty where it is none.
    """

    number: str
    tags: Mapping[str, str]
    run_id: str
    created_ms: int
    model_id: str = ""


class Registry:
    """The versions of one registered model.

    Parameters
    ----------
    client : MlflowClient
        The store.
    name : str
        The registered model's name; see `valid_name`.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        self._client = client
        self.name = name

    def versions(self) -> list[Version]:
        """Give all versions, the newest first; none where there is no such model."""
        found: list[ModelVersion] = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(f"name = '{self.name}'", max_results=200, page_token=token)
            found += page
            token = page.token
            if not token:
                return [_version(own) for own in sorted(found, key=lambda own: -int(own.version))]

    def with_fingerprint(self, fingerprint: str) -> Version | None:
        """Give the newest version that was made of the same fold runs in the same way; None where there is none."""
        return next((own for own in self.versions() if own.tags.get(FINGERPRINT) == fingerprint), None)

    def has_files(self, version: Version) -> bool:
        """Tell whether a version's model can be there still: not where its folder is on this machine and is gone."""
        if not version.model_id:
            return True
        try:
            place = local_path(self._client.get_logged_model(version.model_id).artifact_location)
        except MlflowException as fault:
            if fault.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return place is None or (place / "MLmodel").is_file()

    def aliases(self) -> dict[str, str]:
        """Give the version that each alias points to; none where there is no such model."""
        model = self._model()
        return {} if model is None else {alias: str(version) for alias, version in model.aliases.items()}

    def add(self, model_id: str, run_id: str, tags: Mapping[str, str], description: str) -> str:
        """Register a LoggedModel as the next version and give its number."""
        if self._model() is None:
            try:
                self._client.create_registered_model(self.name)
            except MlflowException:
                if self._model() is None:
                    raise
        made = self._client.create_model_version(
            self.name, f"{_LOGGED}{model_id}", run_id, tags=dict(tags), description=description, model_id=model_id
        )
        return str(made.version)

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self.name, version, key, value)

    def describe(self, version: str, description: str) -> None:
        """Set the description of a version."""
        self._client.update_model_version(self.name, version, description)

    def promote(self, version: str) -> str | None:
        """Point `champion` to a version, and `previous` to the one before; give that one's number."""
        before = self.aliases().get(CHAMPION)
        if before == version:
            return None
        if before is not None:
            self._client.set_registered_model_alias(self.name, PREVIOUS, before)
        self._client.set_registered_model_alias(self.name, CHAMPION, version)
        return before

    def back(self) -> tuple[str, str | None]:
        """Swap `champion` and `previous`; give the new champion and the one that was it until now.

        Where the champion was deleted, the previous one becomes it, and there is no previous one any more.

        Raises
        ------
        InputError
            There is no previous champion.
        """
        aliases = self.aliases()
        if PREVIOUS not in aliases or aliases[PREVIOUS] == aliases.get(CHAMPION):
            raise InputError(
                f"The registered model {self.name!r} has no previous champion to go back to. `foldcam champion "
                f"{quote(self.name)} --promote VERSION` names one of its versions."
            )
        before = self.promote(aliases[PREVIOUS])
        if before is None:
            self._client.delete_registered_model_alias(self.name, PREVIOUS)
        return aliases[PREVIOUS], before

    def _model(self) -> RegisteredModel | None:
        try:
            return self._client.get_registered_model(self.name)
        except MlflowException as fault:
            if fault.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise


def valid_name(text: str) -> str:
    """Give a name as the registry takes it: what it refuses becomes a hyphen."""
    return _NOT_IN_NAMES.sub("-", text).strip(" -") or "champion"


def find_registry(client: MlflowClient, name: str | None) -> Registry:
    """Give the registered model of this name; without one, the only one, or the one that changed last.

    Raises
    ------
    InputError
        There is none, with the names that there are.
    """
    known = {str(model.name): int(model.last_updated_timestamp or 0) for model in _all_models(client)}
    if not known:
        raise InputError(
            "No model is registered in MLflow's store. `foldcam run FILE` registers the best one, unless "
            "champion.enabled is false."
        )
    if name is None:
        return Registry(client, max(known, key=lambda own: known[own]))
    if name not in known:
        near = nearest(name, list(known))
        hint = f" Is {near} meant?" if near else ""
        raise InputError(f"There is no registered model {name!r}.{hint} Registered are: {listed(sorted(known), 10)}.")
    return Registry(client, name)


def all_registries(client: MlflowClient) -> list[Registry]:
    """Give all registered models."""
    return [Registry(client, str(model.name)) for model in _all_models(client)]


def _all_models(client: MlflowClient) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = client.search_registered_models(max_results=100, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _version(own: ModelVersion) -> Version:
    created = int(own.creation_timestamp or 0)
    source = str(own.source or "")
    model_id = source.removeprefix(_LOGGED) if source.startswith(f"{_LOGGED}m-") else ""
    return Version(str(own.version), dict(own.tags), str(own.run_id or ""), created, model_id)
