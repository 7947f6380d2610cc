"""The card of a registered model: what it is for, what it was made of, how good it is, and where it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.comparison.champion.mixture import COVERAGE, Mixture
from tasks.comparison.section import Section
from tasks.comparison.statistics.paired import ModelScore
from tasks.comparison.text import between, count, metric_title, number
from tasks.dataset.audit.class_counts import class_members

MOST_SENTENCES = 6
"""How many sentences of a part of the comparison the card takes."""

LONGEST = 5000
"""How many characters a description in MLflow's registry has room for."""

CUT = "\n\nCut short; the whole card is `model_card.md` of the experiment's run.\n"

FAILURES = ("errors", "subgroups", "suspect_labels")
"""The parts of the comparison that say where a model fails."""


@dataclass(frozen=True)
class CardContext:
    """What a card is written from.

    Attributes
    ----------
    name : str
        The registered model's name.
    run_id : str
        The experiment's run.
    sections : sequence of Section
        The parts of the comparison.
    warnings : sequence of str
        What must be known before a figure is believed.
    versions : mapping of str to str
        Of packages.
    """

    name: str
    run_id: str
    sections: Sequence[Section]
    warnings: Sequence[str]
    versions: Mapping[str, str]


def card(mixture: Mixture, context: CardContext) -> str:
    """Write the card, in Markdown."""
    return next(_cards(mixture, context))


def description(mixture: Mixture, context: CardContext) -> str:
    """Write the card with as many sentences on calibration and failures as there is room for in MLflow's registry."""
    text = ""
    for text in _cards(mixture, context):
        if len(text) <= LONGEST:
            return text
    kept = text[: LONGEST - len(CUT)].rpartition("\n")[0]
    return kept + CUT


def _cards(mixture: Mixture, context: CardContext) -> Iterator[str]:
    """Give the card, and then shorter and shorter ones."""
    above = [list(part) for part in (_head(mixture, context), _use(mixture), _data(mixture), _scores(mixture))]
    below = [list(_how(context)), list(_made(mixture, context))]
    longest = max(len(context.warnings), MOST_SENTENCES)
    for most in (longest, *range(MOST_SENTENCES - 1, -1, -1)):
        told = [list(_calibration(mixture, context, most)), list(_failures(context, most))]
        yield "\n\n".join("\n".join(part) for part in (*above, *told, *below)) + "\n"


def _head(mixture: Mixture, context: CardContext) -> Iterator[str]:
    plan = mixture.evidence.plan
    folds = f"the mean of {count(plan.n_folds, 'fold model')}"
    several = f"the weighted mean of backbones, each of them {folds}" if len(mixture.weights) > 1 else folds
    yield f"# {_plain(context.name)}"
    yield ""
    yield (
        f"{mixture.title}: {several}, for {_labels(mixture)}. An image goes in; label, calibrated probabilities and a "
        "set of the classes that cannot be excluded come out, and on request a Grad-CAM overlay."
    )


def _use(mixture: Mixture) -> Iterator[str]:
    said = mixture.evidence.plan.experiment.champion.intended_use.strip()
    yield "## Intended use"
    yield ""
    yield said or (
        "Not stated (`champion.intended_use` in the experiment file). It is meant for images like those of the "
        "experiment and for nothing else; a person should look at what it says."
    )


def _data(mixture: Mixture) -> Iterator[str]:
    plan = mixture.evidence.plan
    table, in_folds = plan.manifest.table, plan.fold_of_row >= 0
    groups = table["group"].where(table["group"].notna(), table["path"])[in_folds].nunique()
    grouped = f" of {groups:,} groups" if table["group"].notna().any() else ""
    yield "## Data"
    yield ""
    yield f"{count(int(in_folds.sum()), 'image')}{grouped}; digest `{plan.manifest.digest}`."
    yield ""
    yield "| class | in the folds | held out |"
    yield "|---|--:|--:|"
    for label, has in class_members(plan.manifest).items():
        yield f"| {_plain(label)} | {int(has[in_folds].sum()):,} | {int(has[~in_folds].sum()):,} |"


def _scores(mixture: Mixture) -> Iterator[str]:
    yield "## Scores"
    yield ""
    yield (
        "With 95 % intervals that draw whole groups. Out-of-fold: each image by the models that have not seen it. The "
        "model was chosen by these images, so they flatter it a little; the holdout does not."
    )
    yield ""
    found = mixture.figures
    yield f"| metric | {' | '.join(found)} |"
    yield f"|---|{'--:|' * len(found)}"
    for row in zip(*found.values(), strict=True):
        yield f"| {metric_title(row[0].metric)} | {' | '.join(_figure(own) for own in row)} |"


def _figure(own: ModelScore) -> str:
    return number(own.value) if own.low is None else f"{number(own.value)} ({between(own.low, own.high)})"


def _calibration(mixture: Mixture, context: CardContext, most: int) -> Iterator[str]:
    method = mixture.evidence.plan.experiment.comparison.calibration
    scaled = any(mixture.scalings.values())
    yield "## Calibration and prediction sets"
    yield ""
    yield (
        f"Probabilities are scaled by {method} scaling of each fold model, fitted on its validation images."
        if scaled
        else "Probabilities are not scaled."
    )
    yield (
        f"Prediction sets are made to hold the true label for {100 * COVERAGE:.0f} % of images like these (CV+); that "
        "is a rate over many images, not a promise for one, and it does not hold for images of another kind."
    )
    told = list(_told(context, ("calibration",), most))
    yield from ["", *told] if told else []


def _failures(context: CardContext, most: int) -> Iterator[str]:
    yield "## Known failures and limits"
    yield ""
    told = [*_told(context, FAILURES, most), *(f"- {_plain(said)}" for said in context.warnings[:most])]
    if most < len(context.warnings):
        told.append("- More stands in `model_card.md` of the experiment's run.")
    yield from told or ["None was found; that does not show that there is none."]


def _told(context: CardContext, keys: tuple[str, ...], most: int) -> Iterator[str]:
    by_key = {section.key: section for section in context.sections}
    for key in keys:
        if key in by_key:
            yield from (f"- {_plain(said)}" for said in by_key[key].sentences[: min(most, MOST_SENTENCES)])


def _how(context: CardContext) -> Iterator[str]:
    yield "## How to use it"
    yield ""
    yield "```python"
    yield "import mlflow"
    yield ""
    yield f'model = mlflow.pyfunc.load_model("models:/{context.name}@champion")'
    yield 'model.predict(["scan.png"], params={"explain": True})'
    yield "```"
    yield ""
    yield (
        "Images are bytes of a file, base64, paths or arrays, one or many. Over HTTP, `mlflow models serve` takes "
        '`{"inputs": ["<base64>"]}`. `foldcam predict` runs whole folders.'
    )


def _made(mixture: Mixture, context: CardContext) -> Iterator[str]:
    plan = mixture.evidence.plan
    yield "## Licence and origin"
    yield ""
    yield f"Licence: {_plain(plan.experiment.champion.licence.strip()) or 'not stated (`champion.licence`)'}."
    made_with = ", ".join(f"{name} {version}" for name, version in context.versions.items() if version)
    yield ""
    yield (
        f"Experiment {_plain(plan.experiment.name)}, MLflow run `{context.run_id}`, seed {plan.experiment.seed}. "
        f"Made with {made_with}."
    )


def _labels(mixture: Mixture) -> str:
    targets = mixture.evidence.plan.manifest.targets
    noun = {"multiclass": "classes", "multilabel": "labels, any number an image", "ordinal": "grades, in order"}
    return f"{len(targets.classes)} {noun[targets.kind]}"


def _plain(text: str) -> str:
    """Write a text so that Markdown shows it as it is, on one line."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
