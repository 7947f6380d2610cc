"""Labels: from file names by the rules of the experiment file, and from the cells of a table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from fnmatch import translate

from tasks.config import InputError, LabelRule, Labels
from tasks.dataset.wording import listed

BLANKS = frozenset(
    {"", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "-nan", "-NaN", "#NA", "NaT"}
)
"""Cells that stand for nothing, as spreadsheets, pandas and R write them. `None` and `none` are words like others."""

_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,](?P<fraction>[0-9]+))?\Z", re.ASCII)


def plain(text: str) -> str:
    """Return the text in Unicode's composed form, so that one name spelt in two ways is one label."""
    return unicodedata.normalize("NFC", text)


def whole_numbers(cells: Iterable[str]) -> list[str]:
    """Return the cells of a column, where it holds whole numbers only with fractions of zero cut off.

    `1`, `1.0` and `1,0` are one label then, as columns with gaps or decimal commas have them. Leading zeros and signs
    stay, and so does every cell of a column that holds other texts or other fractions too. Blank cells say nothing.
    """
    cells = list(cells)
    found = [_NUMBER.match(cell) for cell in cells if cell not in BLANKS]
    if not all(match and not (match["fraction"] or "").strip("0") for match in found):
        return cells
    return [re.split("[.,]", cell)[0] if cell not in BLANKS else cell for cell in cells]


def label_parts(text: str, separator: str) -> list[str]:
    """Return the labels that stand in a text, without the blanks around them."""
    return [part for part in (part.strip() for part in text.split(separator)) if part]


def in_order(labels: Iterable[str]) -> list[str]:
    """Return the different labels, sorted as texts; by their value if all are whole numbers, so that 10 follows 9."""
    different = sorted(set(labels))
    if all(re.fullmatch("[+-]?[0-9]{1,18}", label, re.ASCII) for label in different):
        return sorted(different, key=int)
    return different


def fractions(cells: Iterable[str]) -> list[str]:
    """Return the different fractions in a column of numbers, such as 0.5; none if other texts are among the cells."""
    found = [_NUMBER.match(cell) for cell in cells if cell not in BLANKS]
    if not all(found):
        return []
    return sorted({match.string for match in found if match and (match["fraction"] or "").strip("0")})


def refuse_fractions(cells: Iterable[str], where: str) -> None:
    """Raise an InputError if the labels are numbers with fractions; `where` names the column."""
    found = fractions(cells)
    if found:
        raise InputError(
            f"{where} holds numbers with fractions ({listed(found)}), which are measurements and no classes. Name "
            "another column as data.table.label, or write the classes as words."
        )


def label_finder(labels: Labels) -> Callable[[str], list[str]]:
    """Return a function from a file name to the labels that the rules give it.

    All rules are tried. One label is the right outcome; none means that no rule fits and there is no `otherwise`;
    several mean that rules clash. A regular expression whose group `label` finds nothing does not fit.
    """
    tests = [_test(rule, ignore_case=labels.ignore_case) for rule in labels.rules]

    def find(name: str) -> list[str]:
        name = plain(name)
        found = list(dict.fromkeys(label for test in tests if (label := test(name))))
        if not found and labels.otherwise is not None:
            return [plain(labels.otherwise)]
        return found

    return find


def _test(rule: LabelRule, *, ignore_case: bool) -> Callable[[str], str | None]:
    label = plain(rule.label or "")
    if rule.contains is not None:
        texts = [_folded(plain(text), ignore_case) for text in rule.contains]
        return lambda name: label if any(text in _folded(name, ignore_case) for text in texts) else None
    pattern = rf"\A{translate(plain(rule.glob))}" if rule.glob is not None else plain(rule.regex or "")
    found = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    if rule.finds_label:
        return lambda name: match["label"] if (match := found.search(name)) else None
    return lambda name: label if found.search(name) else None


def _folded(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text
