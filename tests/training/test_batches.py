from __future__ import annotations

import numpy as np
import pytest

from tasks.config import Augmentation
from tasks.training.batches import training_stream
from tasks.training.variants import Variants

ROWS = np.array([9, 4, 7, 1, 3, 12, 0])


class ReadByBatch:
    """Stands for a memory-mapped array: gives the rows that are asked for, and remembers how many were at a time."""

    def __init__(self, values, most):
        self.values, self.most, self.asked = values, most, []
        self.shape = values.shape

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        rows = np.asarray(rows)
        assert rows.ndim == 1, "read by row numbers"
        assert len(rows) <= self.most, f"{len(rows)} rows were read at once"
        self.asked += rows.tolist()
        return self.values[rows]

    def __array__(self, *_, **__):
        raise AssertionError("the whole array was read")


def drawn(epochs=2, batch_size=3, seed=0, inputs=None, rows=ROWS):
    """Give for each epoch its batches as (x, y, weight)."""
    inputs = np.arange(20.0)[:, None] * [1.0, 2.0] if inputs is None else inputs
    y, weight = np.arange(20) % 3, np.arange(20) * 0.5
    stream, steps = training_stream(
        inputs, y, weight, rows, epochs=epochs, batch_size=batch_size, augmentation=Augmentation(), seed=seed
    )
    batches = [tuple(part.numpy() for part in batch) for batch in stream]
    assert len(batches) == epochs * steps
    return [batches[epoch * steps : (epoch + 1) * steps] for epoch in range(epochs)]


def orders(**changes):
    return [[int(x) for batch in epoch for x in batch[0][:, 0]] for epoch in drawn(**changes)]


def test_every_epoch_holds_each_training_row_once():
    for order in orders(epochs=4):
        assert sorted(order) == sorted(ROWS)


def test_only_the_last_batch_of_an_epoch_is_smaller():
    assert [[len(x) for x, _, _ in epoch] for epoch in drawn()] == [[3, 3, 1], [3, 3, 1]]
    assert [[len(x) for x, _, _ in epoch] for epoch in drawn(batch_size=50)] == [[7], [7]]


def test_images_keep_their_classes_and_weights():
    for x, y, weight in drawn(epochs=1)[0]:
        rows = x[:, 0]
        np.testing.assert_array_equal(x, rows[:, None] * [1, 2])
        np.testing.assert_array_equal(y, rows % 3)
        np.testing.assert_array_equal(weight, rows * 0.5)


def test_the_order_differs_by_epoch_and_by_seed_and_repeats_with_the_seed():
    first = orders(epochs=6)
    assert len({tuple(order) for order in first}) == 6
    assert orders(epochs=6) == first
    assert orders(epochs=6, seed=1) != first


def test_an_epochs_order_hangs_neither_on_the_number_of_epochs_nor_on_the_size_of_batches():
    assert orders(epochs=2, batch_size=2) == orders(epochs=5, batch_size=7)[:2]


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_a_large_array_is_read_by_batch_and_only_where_it_is_trained_on(seed):
    inputs = ReadByBatch(np.arange(20.0)[:, None] * [1.0, 2.0], most=3)
    drawn(inputs=inputs, seed=seed)
    assert sorted(inputs.asked) == sorted([*ROWS, *ROWS])


def test_a_memory_mapped_file_gives_what_it_holds(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", values)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    [epoch] = drawn(epochs=1, inputs=mapped, rows=np.arange(20))
    assert all(x.dtype == np.float32 for x, _, _ in epoch)
    found = sorted(x.tobytes() for batch in epoch for x in batch[0])
    assert found == sorted(image.astype(np.float32).tobytes() for image in values)


def kept_variants(number=3):
    """Variants whose activations say which variant and which row they are of."""
    kept = tuple(np.stack([np.full(20, 100.0 * turn), np.arange(20.0)], axis=1) for turn in range(number))
    return Variants(seed=5, number=number, kept=kept)


def taken(variants, *, epochs, batch_size=3, rows=ROWS):
    """Give for each epoch the variant of each row."""
    y = np.arange(20)
    how = Augmentation(rotation=5, mode="cached", variants=variants.number)
    plain = ReadByBatch(np.full((20, 2), np.nan), most=0)
    stream, steps = training_stream(
        plain, y, np.ones(20), rows, epochs=epochs, batch_size=batch_size, augmentation=how, seed=2, variants=variants
    )
    found = [{} for _ in range(epochs)]
    for number, (x, classes, _) in enumerate(stream):
        np.testing.assert_array_equal(x[:, 1], classes)
        found[number // steps] |= dict(zip(classes.numpy().tolist(), (x[:, 0].numpy() / 100).tolist(), strict=True))
    return found


def test_each_row_takes_one_kept_variant_an_epoch_and_all_of_them_in_turn():
    epochs = taken(kept_variants(), epochs=6)
    assert all(sorted(epoch) == sorted(ROWS) for epoch in epochs)
    for row in ROWS:
        turns = [epoch[row] for epoch in epochs]
        assert sorted(turns[:3]) == [0, 1, 2]
        assert turns[3:] == turns[:3]
    assert len(set(epochs[0].values())) > 1


def test_a_rows_variant_hangs_neither_on_the_batches_nor_on_the_other_rows():
    epochs = taken(kept_variants(), epochs=2)
    assert taken(kept_variants(), epochs=2, batch_size=7) == epochs
    few = taken(kept_variants(), epochs=2, rows=ROWS[:3])
    assert few == [{row: epoch[row] for row in ROWS[:3]} for epoch in epochs]


def test_variants_that_are_not_kept_are_made_from_the_images():
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 3), dtype=np.uint8)
    how = Augmentation(brightness=0.4, mode="cached", variants=2)
    pictures = [set(), set()]
    for fold_seed in (1, 2):
        stream, _ = training_stream(
            images,
            np.arange(20),
            np.ones(20),
            ROWS,
            epochs=4,
            batch_size=3,
            augmentation=how,
            seed=fold_seed,
            variants=Variants(seed=5, number=2),
        )
        for x, _, _ in stream:
            pictures[fold_seed - 1] |= {picture.tobytes() for picture in x.numpy()}
    assert len(pictures[0]) == 2 * len(ROWS)
    assert pictures[0] == pictures[1]
