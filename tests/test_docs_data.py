"""What docs/data.md says: its settings are accepted, and its table of codes is the audit's."""

from __future__ import annotations

import re

import pytest

from tasks.config import Data
from tasks.dataset.audit.audit import audit
from tasks.dataset.audit.findings import CODES
from tasks.dataset.folds.assignment import by_repeat
from tasks.dataset.manifest import read_manifest
from tests.support import corpus
from tests.support.doc_pages import accepted, page, snippets

PAGE = page("docs/data.md")
SNIPPETS = snippets(PAGE)
TABLE = {
    code: (severity, finds)
    for code, severity, finds in re.findall(r"^\| `(\w+\.\w+)` \| (stop or warn|warn|note) \| (.+) \|$", PAGE, re.M)
}


@pytest.mark.parametrize("text", SNIPPETS, ids=range(len(SNIPPETS)))
def test_every_snippet_is_accepted(text):
    accepted(text)


def test_the_table_of_codes_is_the_audits():
    assert {code: finds for code, (_, finds) in TABLE.items()} == CODES
    assert list(TABLE) == list(CODES)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_audit_finds_with_the_severity_of_the_table(tmp_path):
    corpus.write(tmp_path / "a", [*corpus.odd_files(), *corpus.bad_files()])
    corpus.write(tmp_path / "b", corpus.odd_files())
    data = Data(path=tmp_path, on_corrupt="skip")
    manifest = read_manifest(data)
    for allowed in ([], ["*"]):
        settings = data.model_copy(update={"allow_leaks": allowed})
        halves = manifest.y.astype("int64")
        found = audit(manifest, halves if not allowed else by_repeat(halves), settings).findings
        assert len({finding.code for finding in found}) > 10
        for finding in found:
            assert finding.severity in re.split(r"\W+", TABLE[finding.code][0]), finding.code
