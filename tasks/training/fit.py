"""The training loop: one compiled step, every metric each epoch, best weights restored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from tasks.config import Kind, Optimizer, Training
from tasks.evaluation.metrics import score
from tasks.evaluation.outputs import activated, class_probabilities, encode
from tasks.training.batches import Batch, training_stream
from tasks.training.losses import image_losses, sample_weights, target_signature, training_losses, weight_signature
from tasks.training.resuming import Row, Standing
from tasks.training.states import States
from tasks.training.variants import Variants

PREDICT_BATCH = 32

OnEpoch = Callable[[int, Row], None]
OnResume = Callable[[list[Row]], None]


class Diverged(RuntimeError):
    """The loss is no longer a number; trying again with the same settings would end the same way."""


class Fitter:
    """Fits one model again and again; its step is compiled once, its optimizer begins anew each time.

    Parameters
    ----------
    model : keras.Model
        Gives logits of shape (n, n_classes).
    training : Training
        Epochs, optimizer, patience and the rest.
    variants : Variants, optional
        The fixed variants of the images that training takes; validation takes the images as they are.
    kind : {"multiclass", "multilabel", "ordinal"}
        The kind of labels, which decides the loss and the figures.
    """

    def __init__(
        self,
        model: keras.Model,
        training: Training,
        variants: Variants | None = None,
        kind: Kind = "multiclass",
    ) -> None:
        self._model, self._training, self._variants, self._kind = model, training, variants, kind
        self._optimizer = _optimizer(training.optimizer)
        if training.mixed_precision:
            self._optimizer = keras.optimizers.LossScaleOptimizer(self._optimizer)
        model.compile(optimizer=self._optimizer)
        self._optimizer.build(model.trainable_variables)
        self._beginning = [variable.numpy().copy() for variable in self._optimizer.variables]
        self._step = _compiled_step(model, self._optimizer, kind)
        self.forward = compiled_logits(model)

    def fit(
        self,
        inputs: np.ndarray,
        y: np.ndarray,
        train: np.ndarray,
        validation: np.ndarray,
        classes: tuple[str, ...],
        *,
        seed: int,
        on_epoch: OnEpoch | None = None,
        states: States | None = None,
        on_resume: OnResume | None = None,
    ) -> pd.DataFrame:
        """Fit the model in place and give its history; the weights of the best epoch are restored.

        Parameters
        ----------
        inputs : ndarray of shape (n_images, ...)
            What the model takes, for all images of the experiment; may be memory-mapped.
        y : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1
            Class or grade of each image, or which labels it has.
        train, validation : ndarray of int
            Row numbers to train on, and to stop by.
        classes : tuple of str
            Class names in order.
        seed : int
            Decides order and augmentation.
        on_epoch : callable, optional
            Called after each epoch (from 0) with that epoch's row of the history.
        states : States, optional
            Where the fit's state is kept. A fit that finds one goes on from it, and ends as if it had never stopped.
        on_resume : callable, optional
            Called with the history so far if the fit goes on from a state.

        Returns
        -------
        DataFrame
            One row an epoch: `epoch`, `train/<metric>`, `val/<metric>`, `learning_rate`, `seconds`. The training
            figures are those of the running epoch (weights still changing, dropout and augmentation on). Decisions on
            labels are made at 0.5.

        Raises
        ------
        Diverged
            The training or validation loss is NaN or infinite.
        """
        for variable, value in zip(self._optimizer.variables, self._beginning, strict=True):
            variable.assign(value)
        model, training = self._model, self._training
        chosen = _callbacks(training)
        callbacks = keras.callbacks.CallbackList(chosen, model=model)
        model.stop_training = False
        callbacks.on_train_begin()
        standing = Standing(model, self._optimizer, chosen, states)
        history = standing.resume()
        if history and on_resume is not None:
            on_resume(history)
        stream, steps = self._stream(inputs, y, train, seed, first=len(history))
        for epoch in range(len(history), training.epochs):
            if model.stop_training:
                break
            started = time.perf_counter()
            row = {"epoch": float(epoch), "learning_rate": _rate(self._optimizer)}
            row |= _prefixed("train", self._train(stream, steps, epoch, classes))
            row |= _prefixed("val", self._validate(inputs, y, validation, epoch, classes))
            row["seconds"] = time.perf_counter() - started
            history.append(row)
            if on_epoch is not None:
                on_epoch(epoch, row)
            callbacks.on_epoch_end(epoch, {"val_loss": row["val/loss"], "loss": row["train/loss"]})
            standing.keep(history)
        callbacks.on_train_end()
        return pd.DataFrame(history).astype({"epoch": int})

    def _stream(
        self, inputs: np.ndarray, y: np.ndarray, train: np.ndarray, seed: int, *, first: int
    ) -> tuple[Iterator[Batch], int]:
        return training_stream(
            inputs,
            y,
            sample_weights(y, train, self._training.class_weights),
            train,
            epochs=self._training.epochs,
            batch_size=self._training.batch_size,
            augmentation=self._training.augmentation,
            seed=seed,
            variants=self._variants,
            first=first,
        )

    def _train(self, stream: Iterator[Batch], steps: int, epoch: int, classes: tuple[str, ...]) -> dict[str, float]:
        y, losses, logits = [], [], []
        for _ in range(steps):
            x, batch_y, weight = next(stream)
            y.append(np.asarray(batch_y))
            batch_losses, batch_logits = self._step(x, encode(y[-1], self._kind, len(classes)), weight)
            losses.append(batch_losses.numpy())
            logits.append(batch_logits.numpy())
            if not np.isfinite(losses[-1]).all():
                raise Diverged(_diverged_text(epoch, "training", float(losses[-1].mean())))
        return self._figures(np.concatenate(y), np.concatenate(logits), np.concatenate(losses).mean(), classes)

    def _validate(
        self, inputs: np.ndarray, y: np.ndarray, rows: np.ndarray, epoch: int, classes: tuple[str, ...]
    ) -> dict[str, float]:
        logits = predict(self.forward, inputs, rows)
        loss = float(image_losses(encode(y[rows], self._kind, len(classes)), logits, self._kind).mean())
        if not np.isfinite(loss):
            raise Diverged(_diverged_text(epoch, "validation", loss))
        return self._figures(y[rows], logits, loss, classes)

    def _figures(self, y: np.ndarray, logits: np.ndarray, loss: float, classes: tuple[str, ...]) -> dict[str, float]:
        probabilities = activated(logits, self._kind)
        if self._kind != "multiclass":  # whose rows `score` divides by their sums: twice would change the last bits
            probabilities = class_probabilities(probabilities, self._kind)
        found = score(y, probabilities, classes, kind=self._kind)
        return {"loss": float(loss)} | {name: value for name, value in found.items() if "/" not in name}


def compiled_logits(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Give a model's forward pass in inference mode, in float32, compiled once for every batch size."""
    forward = tf.function(
        lambda batch: tf.cast(model(batch, training=False), tf.float32),
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)],
    )
    return lambda batch: np.asarray(forward(np.asarray(batch, np.float32)).numpy())


def predict(forward: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Give the outputs for the chosen rows, in their order, one batch in memory at a time."""
    parts = [forward(inputs[rows[start : start + PREDICT_BATCH]]) for start in range(0, len(rows), PREDICT_BATCH)]
    return np.concatenate(parts)


def _optimizer(settings: Optimizer) -> keras.optimizers.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay or None
    if settings.name == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings.momentum, weight_decay=decay)
    kind = keras.optimizers.RMSprop if settings.name == "rmsprop" else keras.optimizers.Adam
    return kind(rate, weight_decay=decay)


def _callbacks(training: Training) -> list[keras.callbacks.Callback]:
    chosen: list[keras.callbacks.Callback] = []
    if training.reduce_lr_patience is not None:
        chosen.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor="val_loss", factor=training.reduce_lr_factor, patience=training.reduce_lr_patience
            )
        )
    patience = training.early_stopping_patience or training.epochs
    chosen.append(keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, restore_best_weights=True))
    return chosen


def _compiled_step(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, kind: Kind
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    variables = model.trainable_variables
    signature = [
        tf.TensorSpec((None, *model.input_shape[1:]), tf.float32),
        target_signature(kind, model.output_shape[-1]),
        weight_signature(kind, model.output_shape[-1]),
    ]

    def step(x: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(x, training=True), tf.float32)
            losses = training_losses(targets, logits, weight, kind)
            scaled = optimizer.scale_loss(tf.reduce_mean(losses))
        optimizer.apply(tape.gradient(scaled, variables), variables)
        return losses, logits

    compiled: Callable[..., tuple[tf.Tensor, tf.Tensor]] = tf.function(step, input_signature=signature)
    return compiled


def _rate(optimizer: keras.optimizers.Optimizer) -> float:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return float(keras.ops.convert_to_numpy(inner.learning_rate))


def _prefixed(prefix: str, figures: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in figures.items()}


def _diverged_text(epoch: int, where: str, loss: float) -> str:
    return (
        f"the {where} loss became {loss} in epoch {epoch + 1}: the fit diverged. "
        "A smaller training.optimizer.learning_rate is the usual mend."
    )
