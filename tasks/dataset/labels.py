"""Labels from file names, by the rules of the experiment file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from fnmatch import translate

from tasks.config import LabelRule, Labels


def plain(text: str) -> str:
    """Return the text in Unicode's composed form, so that one name spelt in two ways is one label."""
    return unicodedata.normalize("NFC", text)


def label_finder(labels: Labels) -> Callable[[str], list[str]]:
    """Return a function from a file name to the labels that the rules give it.

    All rules are tried. One label is the right outcome; none means that no rule fits and there is no `otherwise`;
    several mean that rules clash.
    """
    tests = [(plain(rule.label), _test(rule, ignore_case=labels.ignore_case)) for rule in labels.rules]

    def find(name: str) -> list[str]:
        name = plain(name)
        found = list(dict.fromkeys(label for label, fits in tests if fits(name)))
        if not found and labels.otherwise is not None:
            return [plain(labels.otherwise)]
        return found

    return find


def _test(rule: LabelRule, *, ignore_case: bool) -> Callable[[str], bool]:
    if rule.contains is not None:
        texts = [_folded(plain(text), ignore_case) for text in rule.contains]
        return lambda name: any(text in _folded(name, ignore_case) for text in texts)
    pattern = rf"\A{translate(plain(rule.glob))}" if rule.glob is not None else plain(rule.regex or "")
    found = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    return lambda name: found.search(name) is not None


def _folded(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text
