"""The compact letter display: what shares a letter cannot be told apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from string import ascii_lowercase


def compact_letters(order: Sequence[str], different: Collection[frozenset[str]]) -> dict[str, str]:
    """Give each model its letters: two models share one exactly if they cannot be told apart.

    The insert-and-absorb algorithm of Piepho (2004, "An Algorithm for a Letter-Based Representation of All-Pairwise
    Comparisons"): all models begin in one column; a pair that differs splits each column that holds both
    into one without the first and one without the second; columns that lie within others go.

    Parameters
    ----------
    order : sequence of str
        The models, best first; the best one has the letter a.
    different : collection of frozenset of str
        The pairs that differ beyond chance.

    Returns
    -------
    dict of str to str
        The letters of each model in alphabetical order, in the order of `order`; after z come a', b' and so on.
    """
    columns = [frozenset(order)]
    for pair in (frozenset(pair) for pair in combinations(order, 2)):
        if pair in different:
            split = [part for column in columns for part in _without(column, pair)]
            columns = [own for own in dict.fromkeys(split) if not any(own < other for other in split)]
    place = {name: number for number, name in enumerate(order)}
    columns.sort(key=lambda column: sorted(place[name] for name in column))
    return {name: "".join(_letter(number) for number, column in enumerate(columns) if name in column) for name in order}


def _without(column: frozenset[str], pair: frozenset[str]) -> list[frozenset[str]]:
    return [column - {name} for name in sorted(pair)] if pair <= column else [column]


def _letter(number: int) -> str:
    turns, place = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[place] + "'" * turns
