"""The Prefect task behind the comparison: registers the best model, and makes it the champion where it earned that."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Any

import pandas as pd
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.backbones.registry import get
from tasks.comparison.champion.card import CardContext, card, description
from tasks.comparison.champion.crowned import PROMOTION_FILE, Crowned
from tasks.comparison.champion.mixture import COVERAGE, Mixture, best_mixture
from tasks.comparison.champion.promotion import Promotion, judged, unlike_classes, unseen_predictions
from tasks.comparison.evidence import Evidence
from tasks.comparison.section import Section
from tasks.config import InputError
from tasks.dataset.drift_reference import reference_statistics
from tasks.evaluation.prediction_sets import packed
from tasks.evaluation.tables import PROBABILITY
from tasks.explanation.overlays import colour_table
from tasks.fold import Session
from tasks.tracking.champion_log import ChampionRecord, log_champion, network_file, read_about, training_digests
from tasks.tracking.models import find_model
from tasks.tracking.records import Metrics, Tags, Text
from tasks.tracking.refusals import refusal_of
from tasks.tracking.registry import (
    BACKBONES,
    CHAMPION,
    DATA_DIGEST,
    EXPERIMENT_RUN,
    FINGERPRINT,
    PROMOTION,
    Registry,
    valid_name,
)
from tasks.workers.plan import digest_of, versions

CHAMPION_VERSION = 1
"""Changes whenever the same fold runs come to make another champion."""


CARD_FILE = "model_card.md"
"""The experiment's artifact with the whole card of what was registered."""


@task(name="champion", cache_policy=NO_CACHE, persist_result=False)
def crown(session: Session, evidence: Evidence, sections: Sequence[Section], warnings: Sequence[str]) -> Crowned | None:
    """Register the best model, decide on the alias `champion`, and log the decision; None where it is not asked for.

    What goes wrong here is told and does not undo the experiment.
    """
    if not evidence.plan.experiment.champion.enabled:
        return None
    from threadpoolctl import threadpool_limits

    try:
        with threadpool_limits(1):  # several threads of linear algebra would only wait for each other
            crowned = _crown(session, evidence, sections, warnings)
    except Exception as fault:
        if session.pool.closed:
            raise
        get_run_logger().exception("The best model was not registered.")
        why = refusal_of(fault) or fault
        said = f"The best model was not registered: {str(why).strip() or type(fault).__name__}"
        crowned = Crowned(None, None, False, None, "", False, Promotion(False, said), failed=True)
    _log(session, crowned)
    return crowned


def _crown(session: Session, evidence: Evidence, sections: Sequence[Section], warnings: Sequence[str]) -> Crowned:
    plan, ledger = session.plan, session.ledger
    mixture = best_mixture(evidence)
    if isinstance(mixture, str):
        return Crowned(None, None, False, None, "", False, Promotion(False, mixture))
    registry = Registry(ledger.client, valid_name(plan.experiment.champion.name or plan.experiment.name))
    fingerprint = _fingerprint(mixture)
    known = registry.with_fingerprint(fingerprint)
    if known is not None and not registry.has_files(known):
        known = None
    if known is None:
        context = CardContext(
            registry.name, ledger.experiment_run_id, sections, warnings, versions() | {"mlflow": version("mlflow")}
        )
        tags = {
            FINGERPRINT: fingerprint,
            EXPERIMENT_RUN: ledger.experiment_run_id,
            DATA_DIGEST: plan.manifest.digest,
            BACKBONES: mixture.title,
        }
        model_id = _logged(session, mixture, registry.name, tags)
        number = registry.add(model_id, ledger.experiment_run_id, tags, description(mixture, context))
        whole = Text(card(mixture, context), CARD_FILE)
        ledger.writer(ledger.experiment_run_id).write([whole])
    else:
        number = known.number
    before = registry.aliases().get(CHAMPION)
    promotion = _decided(session, evidence, mixture, registry, number, before)
    if before != number:  # what made it the champion stays on record
        registry.tag(number, {PROMOTION: json.dumps(promotion.to_json(), ensure_ascii=False)})
    if promotion.moves:
        registry.promote(number)
    now = registry.aliases().get(CHAMPION)
    return Crowned(registry.name, number, now == number, before, mixture.title, known is not None, promotion)


def _fingerprint(mixture: Mixture) -> str:
    plan = mixture.evidence.plan
    parts = sorted((plan.backbone_fingerprint(name), weight) for name, weight in mixture.weights.items())
    return digest_of([CHAMPION_VERSION, parts, plan.experiment.comparison.calibration, COVERAGE])


def _logged(session: Session, mixture: Mixture, name: str, tags: dict[str, str]) -> str:
    """Log the model and give its id."""
    plan, ledger = session.plan, session.ledger
    own = mixture.by_one_fold
    columns = ["path", *(PROBABILITY + label for label in plan.manifest.classes)]
    record = ChampionRecord(
        about=_about(mixture),
        scores=packed(mixture.scores),
        reference=reference_statistics(plan.manifest, own[columns]),
        digests=tuple(sorted(set(plan.manifest.table["sha256"][plan.fold_of_row >= 0]))),
        write_networks=lambda folder: _write_networks(session, mixture, folder),
        metadata=tags,
    )
    return log_champion(
        ledger.client, ledger.experiment_run_id, _model_name(name), record, {"backbones": mixture.title}
    )


def _model_name(name: str) -> str:
    """Give a name as MLflow takes it for a logged model."""
    return "".join("-" if sign in ".%\"'/:" else sign for sign in name)


def _about(mixture: Mixture) -> dict[str, Any]:
    plan = mixture.evidence.plan
    targets, explanation = plan.manifest.targets, plan.experiment.explanation
    return {
        "classes": list(targets.classes),
        "kind": targets.kind,
        "separator": targets.separator,
        "none_label": targets.none_label,
        "preprocessing": plan.experiment.data.preprocessing.model_dump(mode="json"),
        "thresholds": mixture.thresholds,
        "coverage": COVERAGE,
        "n_repeats": plan.n_repeats,
        "members": mixture.members(),
        "networks": {
            name: {
                "size": plan.experiment.model_of(name).size or get(name).native_size,
                "cam_layer": get(name).cam_layer,
            }
            for name in mixture.weights
        },
        "overlay": {"alpha": explanation.alpha, "colours": colour_table(explanation.colormap).tolist()},
    }


def _write_networks(session: Session, mixture: Mixture, folder: Path) -> None:
    plan, ledger = session.plan, session.ledger
    for name in mixture.weights:
        runs = [str(fold.run_id) for fold in mixture.evidence.finished(name)]
        models = [
            find_model(ledger.client, f"runs:/{run_id}/model", plan.cache_folder / "artifacts") for run_id in runs
        ]
        files = [str(network_file(found.folder)) for found in models]
        details = {"files": files, "folder": str(folder)}
        session.pool.do(plan.order("write-champion", (name, -1), details=details), lambda _: None)


def _decided(
    session: Session, evidence: Evidence, mixture: Mixture, registry: Registry, number: str, before: str | None
) -> Promotion:
    setting = evidence.plan.experiment.champion.promotion
    if before == number:
        return Promotion(False, "It is the champion already.")
    if setting == "never":
        return Promotion(False, "`champion.promotion` is never.")
    if before is None:
        return Promotion(True, "There was no champion, so the first version becomes it.")
    if setting == "always":
        return Promotion(True, f"`champion.promotion` is always; version {before} was not compared.")
    try:
        return _by_evidence(session, evidence, mixture, registry)
    except InputError as fault:
        return Promotion(
            False,
            f"The champion, version {before}, could not be asked, so it stays: {fault} `foldcam champion "
            f"{quote(registry.name)} --promote {number}` makes this version the champion.",
        )


def _by_evidence(session: Session, evidence: Evidence, mixture: Mixture, registry: Registry) -> Promotion:
    plan, ledger = session.plan, session.ledger
    artifacts = plan.cache_folder / "artifacts"
    champion = find_model(ledger.client, f"models:/{registry.name}@{CHAMPION}", artifacts).folder
    about = read_about(champion)
    unlike = unlike_classes(plan.manifest.targets, about)
    if unlike is not None:
        return Promotion(False, f"{unlike} The champion stays.")
    challenger = unseen_predictions(evidence, mixture, training_digests(champion))
    if not len(challenger):
        return judged(challenger, challenger, evidence)
    return judged(challenger, _answers(session, champion, about, challenger), evidence)


def _answers(session: Session, champion: Path, about: dict[str, Any], asked: pd.DataFrame) -> pd.DataFrame:
    """Let the champion predict the challenger's images; give its answers in the same form."""
    plan = session.plan
    targets = plan.manifest.targets
    with tempfile.TemporaryDirectory(prefix="foldcam-champion-") as scratch:
        paths, out = Path(scratch, "paths.parquet"), Path(scratch, "answers.parquet")
        asked[["path"]].to_parquet(paths, index=False)
        details = {"model": str(champion), "paths": str(paths), "out": str(out)}
        session.pool.do(plan.order("ask-champion", ("", -1), details=details), lambda _: None)
        answers = pd.read_parquet(out)
    table = asked[["path", "sha256", "fold", "true"]].reset_index(drop=True)
    for name in targets.classes:
        table[PROBABILITY + name] = answers[PROBABILITY + name]
    labels = answers["label"].astype(str)
    if targets.kind == "multilabel":
        none = about["none_label"] or ""
        parts = [[] if said == none else said.split(about["separator"]) for said in labels]
        return table.assign(predicted=[targets.text(own) for own in parts])
    return table.assign(predicted=labels)


def _log(session: Session, crowned: Crowned) -> None:
    promotion = crowned.promotion
    figures = {
        "difference": promotion.difference,
        "difference_ci_low": promotion.ci_low,
        "difference_ci_high": promotion.ci_high,
    }
    content: list[Any] = [
        Text(json.dumps(crowned.to_json(), indent=1, ensure_ascii=False), PROMOTION_FILE),
        Metrics({f"champion/{name}": value for name, value in figures.items() if value is not None}),
        Tags({"foldcam.champion": crowned.told[:4900]}),
    ]
    session.ledger.writer(session.ledger.experiment_run_id).write(content)
