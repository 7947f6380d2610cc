from __future__ import annotations

import json
from types import SimpleNamespace
from uuid import UUID

import pytest
import yaml
from prefect import flow, tags
from prefect.client.orchestration import get_client
from prefect.states import Failed

from flows.notices import DEFAULT_FOLDER
from flows.outcomes import announce, nothing_new, partial, refused, told_by_notices
from flows.runners import settle
from tests.support.command import foldcam
from tests.support.hook import http_hook
from tests.support.processes import until
from tests.support.studio import one_json

TOKEN = "planted-4c1d"
"""The secret part of the webhook's address."""

ENDS = {"partial": partial, "refused": refused, "broken": lambda said: Failed(message=said), "quiet": nothing_new}


@flow(flow_run_name="{name}", persist_result=False)
def ends(name, below=None):
    if below:
        with told_by_notices():
            ends(below, return_state=True)
    return ENDS[name.rpartition("-")[2]](f"{name} it is")


@pytest.fixture(scope="module")
def told(prefect_api):
    """The notices applied twice, a trial, and flow runs of all kinds, until what they tell has come in."""
    with http_hook() as hook:
        found = SimpleNamespace(hook=hook, to=f"webhook:{hook.url}/in?token={TOKEN}")
        found.before = foldcam("notices", "ls")
        found.homeless = foldcam("notices", "apply")
        found.first = foldcam("notices", "apply", "--to", found.to, "--json")
        found.ids = ids()
        found.second = foldcam("notices", "apply", "--to", found.to, "--json")
        found.third = foldcam("notices", "apply", "--json")
        found.same_ids = ids() == found.ids
        found.documents = stored()
        with told_by_notices():
            for name in ("a-partial", "a-refused", "a-broken", "a-quiet"):
                ends(name, return_state=True)
            ends("outer-broken", "inner-broken", return_state=True)
        ends("unmarked-broken", return_state=True)
        with tags("other"):
            ends("other-broken", return_state=True)
        announce("eyes", {"told": 'eyes version 7 (vgg16) is the champion. It is "better".'})
        settle()
        found.trial = foldcam("notices", "test")
        until(lambda: len(hook.posts) >= 6, 30, "six notices")
        found.removed = foldcam("notices", "remove", "--json")
        found.after = foldcam("notices", "ls", "--json")
    return found


def ids():
    with get_client(sync_client=True) as client:
        return {own.id for own in client.read_automations() if own.name.startswith("foldcam ")}


def stored():
    """Give what anybody may read of the automations and their blocks, as one text."""
    with get_client(sync_client=True) as client:
        own = [found for found in client.read_automations() if found.name.startswith("foldcam ")]
        blocks = {UUID(str(action.block_document_id)) for found in own for action in found.actions}
        texts = [found.model_dump_json() for found in own]
        texts += [client.read_block_document(block, include_secrets=False).model_dump_json() for block in blocks]
    return "\n".join(texts)


def changes(answer):
    assert answer.code == 0, answer
    return {own["name"]: own["change"] for own in one_json(answer.out)["notices"]}


def test_without_a_destination_it_says_what_is_missing(told):
    assert "notices apply" in told.before.out
    assert "--to" in told.homeless.refused()


def test_applying_makes_them_and_applying_again_changes_nothing(told):
    names = {"foldcam failed", "foldcam partial", "foldcam champion", "foldcam test"}
    assert changes(told.first) == dict.fromkeys(names, "made")
    assert changes(told.second) == dict.fromkeys(names, "unchanged")
    assert changes(told.third) == dict.fromkeys(names, "unchanged")
    assert told.same_ids
    assert len(told.ids) == 4


def test_each_kind_of_end_tells_its_own_notice(told):
    assert sorted(told.hook.subjects()) == sorted(
        [
            "foldcam: a-partial is partial",
            "foldcam: a-refused refused",
            "foldcam: a-broken failed",
            "foldcam: outer-broken failed",
            "foldcam: new champion of eyes",
            "foldcam: trial",
        ]
    )


def test_the_reason_stands_in_the_notice(told):
    [found] = told.hook.about("a-refused")
    assert "a-refused it is" in found["body"]
    assert "None" not in found["body"]
    [found] = told.hook.about("new champion")
    assert 'It is "better".' in found["body"]


def test_a_flow_run_below_another_tells_nothing_of_its_own(told):
    assert told.hook.about("inner-broken") == []


def test_other_peoples_flow_runs_tell_nothing(told):
    assert told.hook.about("unmarked") == []
    assert told.hook.about("other-broken") == []


def test_the_secret_of_the_address_is_in_nothing_that_can_be_read(told):
    assert {path for path, _ in told.hook.posts} == {f"/in?token={TOKEN}"}
    assert "foldcam-notices-webhook" in told.first.out
    for text in (told.documents, told.first.out, told.first.err, told.second.out, told.removed.out):
        assert TOKEN not in text


def test_removing_leaves_none(told):
    assert set(changes(told.removed).values()) == {"removed"}
    assert one_json(told.after.out) == {"notices": []}


@pytest.mark.parametrize(
    ("to", "hint"),
    [
        ("pigeon:home", "webhook:URL"),
        ("webhook", "webhook:URL"),
        (f"webhook:ftp://example.org/{TOKEN}", "https://"),
        (f"slack:https://example.org/{TOKEN}", "does not take this address"),
        (f"teams:https://example.org/{TOKEN}", "does not take this address"),
        ("email:group@example.org", "SENDGRID_API_KEY"),
        ("webhook:@gone.txt", "gone.txt"),
    ],
)
def test_a_destination_that_cannot_be_used_is_refused_without_telling_it(to, hint):
    message = foldcam("notices", "apply", "--to", to).refused()
    assert hint in message
    assert TOKEN not in message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("name: [", "cannot be read"),
        ("name: x", "actions"),
        ("{name: x, trigger: {type: event, posture: Soon}, actions: [{type: do-nothing}]}", "posture"),
    ],
)
def test_a_notice_that_is_no_automation_is_refused_with_its_file(tmp_path, text, hint):
    (tmp_path / "own.yaml").write_text(text)
    message = foldcam("notices", "apply", "--to", "webhook:http://127.0.0.1:9", "--folder", str(tmp_path)).refused()
    assert "own.yaml" in message
    assert hint in message


def test_every_file_is_an_automation_of_prefects_that_sends_something():
    for file in DEFAULT_FOLDER.glob("*.yaml"):
        content = yaml.safe_load(file.read_text())
        assert content["name"].startswith("foldcam ")
        assert [action["type"] for action in content["actions"]] == ["send-notification"]
        assert "http" not in json.dumps(content)
