"""Cross-validation of one backbone in plain Keras, as a careful person writes it in a notebook.

Images are decoded once and held in memory; `fit` with callbacks, `predict`, then Grad-CAM of one image after another,
as the studies do it but of the logit. Only the model, its seeds and the shuffles are foldcam's, so that both sides
start alike and see the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from PIL import Image

from tasks.backbones.build import build_model
from tasks.training.batches import epoch_order
from tasks.training.session import derived_seed
from tasks.workers.order import Order, read_material
from tests.benchmarks.baselines.study_gradcam import explain_one


def sweep(
    order: Order, begin: Callable[[], None], folds: Sequence[int] | None = None, overlays: str | None = None
) -> dict[str, np.ndarray]:
    """Train, evaluate and explain a backbone on the folds (default: all); write overlays where a folder is given.

    Gives, by row of the test images in ascending order: `rows`, `probabilities`, `maps` (each divided by its maximum);
    and `losses`, a row a fold, of validation.
    """
    tf.reduce_sum(tf.zeros(8)).numpy()
    material = read_material(order)
    begin()
    y, paths = material.manifest.y, [material.manifest.root / path for path in material.manifest.table["path"]]
    size = _build(material, order.backbone, 0).model.input_shape[1]
    images = np.stack([_read(path, size) for path in paths])
    rows, probabilities, maps, losses = [], [], [], []
    for fold in range(int(material.fold_of_row.max()) + 1) if folds is None else folds:
        keras.backend.clear_session()
        parts = material.rows(fold)
        built = _build(material, order.backbone, fold)
        losses.append(_fit(built, material, order.backbone, fold, images, y, parts))
        probabilities.append(built.model.predict(images[parts.test].astype(np.float32), batch_size=32, verbose=0))
        maps.append(_explain(built, images[parts.test]))
        rows.append(parts.test)
        if overlays is not None:
            for path, heat in zip((paths[row] for row in parts.test), maps[-1], strict=True):
                _write_overlay(path, heat, Path(overlays) / f"{order.backbone}-{path.parent.name}-{path.name}")
    place = np.argsort(np.concatenate(rows))
    return {
        "rows": np.concatenate(rows)[place],
        "probabilities": np.concatenate(probabilities)[place],
        "maps": np.concatenate(maps)[place],
        "losses": np.stack(losses),
    }


def five(orders: dict[str, Order], begin: Callable[[], None], fold: int, overlays: str) -> dict[str, np.ndarray]:
    """Run one fold of each backbone's loop, one after the other; probabilities and rows by backbone."""
    begin()
    found = {}
    for backbone, order in orders.items():
        own = sweep(order, lambda: None, [fold], overlays)
        found |= {f"{backbone}/probabilities": own["probabilities"], f"{backbone}/rows": own["rows"]}
    return found


def _build(material: Any, backbone: str, fold: int) -> Any:
    seed, model = material.experiment.seed, material.experiment.model_of(backbone)
    keras.utils.set_random_seed(derived_seed(seed, backbone, "session"))
    return build_model(
        backbone,
        n_outputs=len(material.manifest.classes),
        size=model.size,
        head=model.head,
        freeze=model.freeze,
        base_seed=derived_seed(seed, backbone, "base"),
        head_seed=derived_seed(seed, backbone, fold, "head"),
    )


def _read(path: Path, size: int) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def _fit(
    built: Any, material: Any, backbone: str, fold: int, images: np.ndarray, y: np.ndarray, parts: Any
) -> np.ndarray:
    training = material.experiment.training_of(backbone)
    logits = keras.Model(built.model.inputs, built.model.get_layer("logits").output)
    logits.compile(
        optimizer=_optimizer(training.optimizer),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    seed = derived_seed(material.experiment.seed, backbone, fold, "fit")
    history = logits.fit(
        _batches(images, y, parts.train, training, seed),
        epochs=training.epochs,
        steps_per_epoch=math.ceil(len(parts.train) / training.batch_size),
        validation_data=(images[parts.validation].astype(np.float32), y[parts.validation]),
        validation_batch_size=32,
        callbacks=[
            keras.callbacks.ReduceLROnPlateau(
                monitor="val_loss", factor=training.reduce_lr_factor, patience=training.reduce_lr_patience
            ),
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=training.early_stopping_patience, restore_best_weights=True
            ),
        ],
        verbose=0,
    )
    return np.array(history.history["val_loss"])


def _optimizer(settings: Any) -> Any:
    if settings.name == "sgd":
        return keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum)
    return keras.optimizers.Adam(settings.learning_rate)


def _batches(images: np.ndarray, y: np.ndarray, rows: np.ndarray, training: Any, seed: int) -> tf.data.Dataset:
    """Give the batches of all epochs, in the order in which foldcam takes them."""
    orders = tf.constant(np.stack([epoch_order(rows, seed, epoch) for epoch in range(training.epochs)]))
    steps, size = math.ceil(len(rows) / training.batch_size), training.batch_size
    pixels, labels = tf.constant(images), tf.constant(y)

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        start = step % steps * size
        chosen = orders[step // steps][start : start + size]
        return tf.cast(tf.gather(pixels, chosen), tf.float32), tf.gather(labels, chosen)

    return tf.data.Dataset.range(training.epochs * steps).map(batch).prefetch(2)


def _explain(built: Any, images: np.ndarray) -> np.ndarray:
    cam = built.model.get_layer(built.cam_layer).output
    grad_model = keras.Model(built.model.inputs, [cam, built.model.get_layer("logits").output])
    return np.stack([explain_one(built.model, grad_model, image)[1] for image in images])


def _write_overlay(path: Path, heat: np.ndarray, target: Path) -> None:
    with Image.open(path) as image:
        picture = image.convert("RGB")
    large = Image.fromarray(heat).resize(picture.size, Image.Resampling.BILINEAR)
    colours = Image.fromarray(colormaps["inferno"](np.asarray(large), bytes=True)[:, :, :3].copy())
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.blend(picture, colours, 0.4).save(target)
