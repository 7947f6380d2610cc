"""Says which fold runs were trained with a smaller batch than the settings', for want of memory."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.comparison.results import BackboneResult
from tasks.workers.plan import Plan


def smaller_batches_told(plan: Plan, results: Mapping[str, BackboneResult], smaller: Mapping[str, int]) -> list[str]:
    """Give one sentence a backbone that has such fold runs; none where there are none.

    Parameters
    ----------
    plan : Plan
        The experiment's.
    results : mapping of str to BackboneResult
        By backbone.
    smaller : mapping of str to int
        Batch size by the id of each fold run that was trained with a smaller one.
    """
    told = []
    for name, result in results.items():
        found = {fold.fold: smaller[own] for fold in result.finished if (own := fold.run_id or "") in smaller}
        if found:
            sizes = ", ".join(f"fold {fold}: {size}" for fold, size in sorted(found.items()))
            told.append(
                f"{name} ran out of memory and was trained with smaller batches than the "
                f"{plan.experiment.training_of(name).batch_size} images of its settings ({sizes}), so its figures are "
                "those of another batch size."
            )
    return told
