"""Notices of what happened while nobody looked: Prefect's automations, from files, applied to a server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import yaml
from prefect.blocks.core import Block
from prefect.blocks.notifications import (
    CustomWebhookNotificationBlock,
    MicrosoftTeamsWebhook,
    SendgridEmail,
    SlackWebhook,
)
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events import emit_event
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr, ValidationError

from flows.deploy import team_server
from flows.runners import settle
from flows.shipped import shipped
from tasks.config import InputError

DEFAULT_FOLDER = shipped("notices")

KINDS = ("webhook", "slack", "teams", "email")

SLACK = ("hooks.slack.com", "hooks.slack-gov.com")

BLOCK = "foldcam-notices"
"""How the names begin of the blocks that send."""

TRIAL = "foldcam.notices.test"

Change = Literal["made", "updated", "unchanged", "removed"]


@dataclass(frozen=True)
class Notice:
    """A notice as the server has it.

    Attributes
    ----------
    name, description : str
        Of the automation.
    change : str
        What was done now.
    enabled : bool
        False: it was paused on Prefect's pages; it stays so.
    to : tuple of str
        Names of the blocks that send it.
    """

    name: str
    description: str
    change: Change
    enabled: bool
    to: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give its JSON object."""
        return {
            "name": self.name,
            "description": self.description,
            "change": self.change,
            "enabled": self.enabled,
            "to": list(self.to),
        }


def apply_notices(to: Sequence[str] = (), folder: Path | None = None) -> list[Notice]:
    """Put the notices of a folder on Prefect's server; what is there already is brought up to date.

    Parameters
    ----------
    to : sequence of str
        `webhook:URL`, `slack:URL`, `teams:URL` or `email:ADDRESS`; `@FILE` instead of what follows the colon reads it
        from a file. None: where they go already.
    folder : Path or None
        YAML files, one automation each; None: infra/notices.

    Raises
    ------
    InputError
        A file or destination cannot be used, or there is no server.
    """
    blocks = _blocks(to)
    with _on_server(folder) as (client, wanted, known):
        ids = [UUID(str(block.save(name, overwrite=True))) for name, block in blocks.items()] or _ids(known.values())
        if not ids:
            raise InputError(
                "Nothing says where notices go. Give --to webhook:URL, slack:URL, teams:URL or email:ADDRESS."
            )
        return [_applied(client, content, known.get(name), ids) for name, content in wanted.items()]


def list_notices(folder: Path | None = None) -> list[Notice]:
    """Give the notices of a folder that Prefect's server has.

    Raises
    ------
    InputError
        A file cannot be used, or there is no server.
    """
    with _on_server(folder) as (client, _, known):
        return [_notice(client, own, "unchanged") for own in known.values()]


def remove_notices(folder: Path | None = None) -> list[Notice]:
    """Take the notices of a folder, and the blocks that sent them, from Prefect's server; gives what was removed.

    Raises
    ------
    InputError
        A file cannot be used, or there is no server.
    """
    with _on_server(folder) as (client, _, known):
        removed = [_notice(client, own, "removed") for own in known.values()]
        for own in known.values():
            client.delete_automation(own.id)
        for block in _ids(known.values()):
            if _block_name(client, block).startswith(BLOCK):
                client.delete_block_document(block)
    return removed


def send_trial() -> None:
    """Emit the event that the notice `foldcam test` is about.

    Raises
    ------
    InputError
        There is no server, or it has no such notice.
    """
    with team_server(), get_client(sync_client=True) as client:
        if not client.read_automations_by_name("foldcam test"):
            raise InputError(
                "Prefect's server has no notices yet. `foldcam notices apply --to webhook:URL` makes them."
            )
        emit_event(TRIAL, resource={"prefect.resource.id": "foldcam.notices"}, payload={"told": "This is a trial."})
        settle()


@contextmanager
def _on_server(
    folder: Path | None,
) -> Iterator[tuple[SyncPrefectClient, dict[str, dict[str, Any]], dict[str, Automation]]]:
    """Connect to Prefect's server; give the client, the notices of a folder, and those of them that are there."""
    wanted = _wanted(folder or DEFAULT_FOLDER)
    with team_server(), get_client(sync_client=True) as client:
        yield client, wanted, _known(client, wanted)


def _wanted(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not files:
        raise InputError(f"{folder} holds no notices (*.yaml). Give the folder that does by --folder.")
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
            raise InputError(f"The notice {file} cannot be read: {str(fault).splitlines()[0]}.") from None
        if not isinstance(content, dict) or not content.get("name") or not isinstance(content.get("actions"), list):
            raise InputError(f"The notice {file} must have a `name`, a `trigger` and a list `actions`.")
        _automation(content, [UUID(int=0)], file)
        found[str(content["name"])] = content
    return found


def _automation(content: Mapping[str, Any], blocks: Sequence[UUID], file: Path | None = None) -> AutomationCore:
    """Give the automation that a file stands for: what it sends goes to every block."""
    actions = [
        action | ({"block_document_id": str(block)} if action.get("type") == "send-notification" else {})
        for action in content["actions"]
        for block in (blocks if action.get("type") == "send-notification" else blocks[:1])
    ]
    try:
        return AutomationCore.model_validate(dict(content) | {"actions": actions})
    except ValidationError as fault:
        first = fault.errors()[0]
        keys = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"The notice {file or content['name']} is no automation of Prefect's: {keys}: {first['msg']}."
        ) from None


def _blocks(to: Sequence[str]) -> dict[str, Block]:
    """Give the blocks that send, by name."""
    blocks: dict[str, Block] = {}
    for text in to:
        kind, sign, target = text.partition(":")
        if not sign or kind not in KINDS or not target:
            raise InputError(f"--to {kind}: wanted is webhook:URL, slack:URL, teams:URL or email:ADDRESS.")
        if target.startswith("@"):
            target = _from_file(kind, Path(target[1:]))
        number = sum(name.startswith(f"{BLOCK}-{kind}") for name in blocks)
        try:
            blocks[f"{BLOCK}-{kind}" + (f"-{number + 1}" if number else "")] = _block(kind, target)
        except InputError:
            raise
        except (ValueError, TypeError):
            raise InputError(f"--to {kind}: Prefect does not take this address.") from None
    return blocks


def _from_file(kind: str, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(
            f"--to {kind}:@{file}: the file cannot be read: {getattr(fault, 'strerror', fault)}."
        ) from None


def _block(kind: str, target: str) -> Block:
    if kind == "email":
        return _email(target)
    if urlsplit(target).scheme not in ("http", "https") or not urlsplit(target).hostname:
        raise InputError(f"--to {kind}: what follows the colon must be an address such as https://example.org/hook.")
    if kind == "slack":
        if urlsplit(target).hostname not in SLACK:
            raise ValueError
        return SlackWebhook(url=SecretStr(target))
    if kind == "teams":
        return MicrosoftTeamsWebhook(url=SecretStr(target))
    return CustomWebhookNotificationBlock(
        name="foldcam",
        url="{{url}}",
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
        secrets={"url": target},
    )


def _email(address: str) -> Block:
    key, sender = os.environ.get("SENDGRID_API_KEY"), os.environ.get("FOLDCAM_MAIL_FROM")
    if not key or not sender or "@" not in address:
        raise InputError(
            "--to email: mail is sent through SendGrid. Set SENDGRID_API_KEY to its key and FOLDCAM_MAIL_FROM to the "
            "sender, and give an address such as email:group@example.org."
        )
    return SendgridEmail(api_key=SecretStr(key), sender_email=sender, to_emails=[address])


def _known(client: SyncPrefectClient, wanted: Mapping[str, Any]) -> dict[str, Automation]:
    found = {name: client.read_automations_by_name(name) for name in wanted}
    return {name: own[0] for name, own in found.items() if own}


def _ids(automations: Any) -> list[UUID]:
    ids = (getattr(action, "block_document_id", None) for own in automations for action in own.actions)
    return list(dict.fromkeys(found for found in ids if found is not None))


def _applied(
    client: SyncPrefectClient, content: Mapping[str, Any], known: Automation | None, ids: Sequence[UUID]
) -> Notice:
    own = _automation(content, ids)
    if known is None:
        made = client.create_automation(own)
        return _notice(client, Automation(id=made, **own.model_dump()), "made")
    own = own.model_copy(update={"enabled": known.enabled})
    if _comparable(own) == _comparable(known):
        return _notice(client, known, "unchanged")
    client.update_automation(known.id, own)
    return _notice(client, Automation(id=known.id, **own.model_dump()), "updated")


def _comparable(own: AutomationCore) -> dict[str, Any]:
    fields = {"name", "description", "enabled", "trigger", "actions"}
    found = own.model_dump(mode="json", include=fields)
    found["trigger"].pop("id", None)
    for name in ("expect", "after", "for_each"):  # sets, in any order
        if isinstance(found["trigger"].get(name), list):
            found["trigger"][name].sort()
    return found


def _notice(client: SyncPrefectClient, own: Automation, change: Change) -> Notice:
    to = tuple(_block_name(client, block) for block in _ids([own]))
    return Notice(own.name, own.description, change, own.enabled, to)


def _block_name(client: SyncPrefectClient, block: UUID) -> str:
    try:
        return str(client.read_block_document(block, include_secrets=False).name)
    except ObjectNotFound:
        return "a block that is gone"
