"""Which folds several models have in common, and which models have none in common with the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Common(NamedTuple):
    """Models and the folds that all of them have finished, in order."""

    names: tuple[str, ...]
    folds: tuple[int, ...]


def in_common(finished: Mapping[str, Collection[int]]) -> Common:
    """Give the models that can be compared and the folds that all of them have finished.

    Where all together have no fold in common, the model with the fewest folds (of several, the last one) is left out,
    and so on.

    Parameters
    ----------
    finished : mapping of str to collection of int
        By model, best first, the folds that it has finished; a model without any is left out.
    """
    left = {name: set(folds) for name, folds in finished.items() if folds}
    while left and not set.intersection(*left.values()):
        fewest = min(map(len, left.values()))
        del left[next(name for name in reversed(left) if len(left[name]) == fewest)]
    return Common(tuple(left), tuple(sorted(set.intersection(*left.values()))) if left else ())
