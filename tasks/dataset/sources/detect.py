"""The experiment file that a folder of images suggests."""

from __future__ import annotations

import textwrap

import yaml

from tasks.dataset.sources.folder import FolderSummary, describe_folder
from tasks.dataset.sources.label_guess import JoinedLabels, are_grades, guess_joined
from tasks.dataset.sources.table_columns import GROUP_COLUMNS
from tasks.dataset.wording import counted

__all__ = ["FolderSummary", "describe_folder", "starter_file"]

_N_SPLITS = 5
_CLASSES_SHOWN = 20

_REST = """\
model:
  head: null                # the backbone's own head; or {kind: gap, units: [], dropout: 0.2}

# Each backbone's size is its native one. weights: none (random), imagenet, vggface, or the path of a weight file.
# freeze: base trains the head alone, last_block also the last block, none everything.
backbones:
  vgg16:
    size: 224
    weights: imagenet
    freeze: base
  resnet50:
    size: 224
    weights: imagenet
    freeze: base
  senet50:
    size: 224
    weights: vggface        # trained on faces; if no file is there, the error says which file to put where
    freeze: base
  inceptionv3:
    size: 299
    weights: imagenet
    freeze: base
  ncnn:                     # a small network without published weights: trained whole
    size: 120
    weights: none
    freeze: none

training:
  epochs: 20                # at most
  batch_size: 16
  optimizer: {name: adam, learning_rate: 0.001}
  early_stopping_patience: 6
  reduce_lr_patience: 3     # must be below early_stopping_patience
  class_weights: none       # balanced: inverse to class frequency
  augmentation:             # of training images only
    horizontal_flip: false
    vertical_flip: false
    shift: 0.0              # 0.05 is up to 5 % of height and width
    zoom: 0.0
    rotation: 0.0           # degrees
    brightness: 0.0
    mode: online            # anew in every epoch; cached: `variants` fixed ones of each image, far faster when frozen
    variants: 4

evaluation:
  metric: null              # ranks the backbones; null: what suits the kind of labels, such as balanced_accuracy
  thresholds: null          # with several labels, from which probability on an image has one; null: 0.5, or tuned

explanation:
  methods: [gradcam]
  max_images: 500           # test images a fold that are explained; null: all
  format: png               # jpeg: smaller files

comparison:                 # which backbone is better, and how sure that is
  rope: 0.01                # differences that do not matter
  calibration: temperature  # of probabilities, by the validation images; or vector, none
  sensitivity: [0.9, 0.95]  # for which thresholds are wanted
  specificity: [0.9, 0.95]

champion:                   # the best one becomes a registered model
  promotion: evidence       # when it replaces the one before: where unseen images show it; or always, never
  intended_use: ""          # what the model is for, and the licence: both stand in its card
  licence: ""

runner:
  workers: auto             # fold runs at a time
  retries: 1

cache:
  max_gb: 20                # disk space for decoded images and features
  feature_dtype: float32    # float16: half the space; the rounding is logged
"""


def starter_file(summary: FolderSummary, *, name: str) -> str:
    """Return a commented experiment file in YAML for the folder that was looked at.

    Parameters
    ----------
    summary
        From `describe_folder`; its `path` goes into the file as it stands, and is read relative to the file.
    name
        The experiment's name.
    """
    head = f"""\
# An experiment of foldcam: check it with `foldcam check FILE`, run it with `foldcam run FILE`.
# What is left out has a default; `foldcam schema` prints every key.
name: {_quoted(name)}
seed: 0                     # every random choice follows from it

"""
    return head + _data(summary) + "\n" + _folds(summary) + "\n" + _REST


def _data(summary: FolderSummary) -> str:
    lines = [
        f"data:                       # found: {_found(summary)}",
        f"  path: {_quoted(str(summary.path))}",
        f"  reader: {summary.reader}",
        *_table(summary),
    ]
    joined = _joined(summary)
    if joined is not None:
        lines += _joined_labels(joined)
    elif summary.rules or not summary.classes:
        lines += _label_rules(summary)
    elif are_grades(summary.classes):
        lines += _grades(summary)
    classes = summary.classes if joined is None else joined.labels
    if 0 < len(classes) <= _CLASSES_SHOWN:
        lines.append(f"  classes: [{', '.join(map(_quoted, classes))}]")
    lines += _groups(summary)
    lines += _holdout(summary)
    if summary.n_unlabelled:
        lines.append(
            f"  unlabelled: skip          # {counted(summary.n_unlabelled, 'image')} without a label; stop: an error"
        )
    lines.append("  on_corrupt: stop          # skip: go on without images that cannot be read")
    return "\n".join(lines) + "\n"


def _table(summary: FolderSummary) -> list[str]:
    if summary.table is None:
        return []
    found = summary.table.model_dump(mode="json", exclude_none=True)
    why = "one beside each array" if summary.reader == "arrays" else "the file, and what its columns mean"
    return [f"  table:                    # {why}", *(f"    {key}: {_quoted(name)}" for key, name in found.items())]


def _holdout(summary: FolderSummary) -> list[str]:
    if "test" in summary.splits:
        return ["  holdout: test             # the test split is scored once, at the end; none: it joins the folds"]
    if "val" in summary.splits:
        return ["  holdout: none             # val: the val split is scored once, at the end; none: it joins the folds"]
    return []


def _found(summary: FolderSummary) -> str:
    parts = [counted(summary.n_images, "image")]
    if summary.median_size:
        parts[0] += f" of about {summary.median_size[0]} × {summary.median_size[1]} pixels"
    joined = _joined(summary)
    told = ("class", "classes", len(summary.classes)) if joined is None else ("label", "labels", len(joined.labels))
    kinds = [("split", "splits", len(summary.splits)), told, ("fold", "folds", len(summary.folds))]
    parts += [counted(number, one, several) for one, several, number in kinds if number]
    return ", ".join(parts)


def _label_rules(summary: FolderSummary) -> list[str]:
    if summary.rules:
        rules = [f"{{label: {_quoted(label)}, regex: {_quoted(regex)}}}" for label, regex in summary.rules.items()]
        why = "guessed from the file names: check them"
    else:
        rules = ["{label: first, contains: _a_}", "{label: second, contains: _b_}"]
        why = "examples: the file names do not tell the classes by themselves"
    return ["  labels:", f"    rules:                  # {why}", *(f"      - {rule}" for rule in rules)]


def _joined(summary: FolderSummary) -> JoinedLabels | None:
    return None if summary.table is None else guess_joined(summary.classes)


def _joined_labels(joined: JoinedLabels) -> list[str]:
    none_label = f"none_label: {_quoted(joined.none_label or 'healthy')}"
    return [
        "  labels:",
        "    kind: multilabel        # any number of labels an image, as the cells seem to have; else say multiclass",
        f"    separator: {_quoted(joined.separator):<12} # what stands between labels",
        f"    {none_label if joined.none_label else f'# {none_label}':<23} # what an image without any label is called",
    ]


def _grades(summary: FolderSummary) -> list[str]:
    lowest, *_, highest = summary.classes
    return [
        f"  # Are {lowest} to {highest} grades, such as stages of a disease? Then uncomment the next two lines.",
        "  # labels:",
        "  #   kind: ordinal         # their order counts",
    ]


def _groups(summary: FolderSummary) -> list[str]:
    if summary.group_column is not None:
        setting, seat, seem = f"  groups: {{column: {_quoted(summary.group_column)}}}", "table", "seems"
    elif summary.groups is not None:
        setting, seat, seem = f"  groups: {_quoted(summary.groups)}", "names", "seem"
    else:
        return ["  # groups: '(?P<group>patient[0-9]+)'   # what must not be split between folds, such as a patient"]
    if summary.fewest_groups >= _N_SPLITS:
        return [
            f"  # Images of one group never stand in two folds. Guessed from the {seat}: delete it if it is wrong.",
            setting,
        ]
    why = (
        f"The {seat} {seem} to hold groups, such as patients, that must not be split between folds; but a class has "
        f"only {counted(summary.fewest_groups, 'group')}, too few for {_N_SPLITS} folds. "
    )
    taken = summary.group_column == GROUP_COLUMNS[0]  # whether or not it is named
    why += "Lower n_splits." if taken else "To keep them whole, lower n_splits and take away the # of the next line."
    told = textwrap.wrap(why, width=110, initial_indent="  # ", subsequent_indent="  # ")
    return [*told, setting if taken else f"  # {setting.strip()}"]


def _folds(summary: FolderSummary) -> str:
    ready = "               # not used: the data has its own folds" if summary.folds else ""
    return (
        f"folds:\n  n_splits: {_N_SPLITS}{ready}\n"
        "  kind: auto                # ready-made where there are folds, else by group where there are groups\n"
        "  validation_fraction: 0.2  # of the training images, for early stopping\n"
    )


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf")).strip()
