from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tasks.config import Augmentation
from tasks.training.augment import augment
from tasks.training.batches import training_stream

N, HEIGHT, WIDTH = 24, 16, 40


def changed(images, *, epoch=0, seed=0, rows=None, **how):
    rows = np.arange(len(images)) if rows is None else rows
    images = np.asarray(images, np.float32)
    return augment(images, tf.constant(rows, tf.int64), tf.constant(epoch, tf.int64), Augmentation(**how), seed).numpy()


def noise(n=N, seed=3):
    return np.random.default_rng(seed).uniform(0, 255, (n, HEIGHT, WIDTH, 3)).astype(np.float32)


def ramps():
    """Give pictures whose channels say where a pixel is: its column, its row, and 100."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.stack([np.stack([columns, rows, np.full_like(rows, 100)], axis=-1)] * N)


def maps(**how):
    """Give for each image the affine map (2 x 3) from output to input pixels, and the largest departure from it."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    found, worst = [], 0.0
    for image in changed(ramps(), **how).astype(float):
        inside = (
            (image[..., 0] > 0.01)
            & (image[..., 0] < WIDTH - 1.01)
            & (image[..., 1] > 0.01)
            & (image[..., 1] < HEIGHT - 1.01)
        )
        where = np.stack([columns[inside], rows[inside], np.ones(inside.sum())], axis=1)
        affine, *_ = np.linalg.lstsq(where, image[inside][:, :2], rcond=None)
        worst = max(worst, np.abs(where @ affine - image[inside][:, :2]).max())
        found.append(affine.T)
    return np.array(found), worst


def centre_moves(found):
    """Give by how much each map moves the picture's centre, in pixels (x, y)."""
    centre = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2, 1])
    return found @ centre - centre[:2]


def test_with_everything_off_images_stay_as_they_are():
    images = noise()
    np.testing.assert_array_equal(changed(images), images)


@pytest.mark.parametrize(("how", "axis"), [("horizontal_flip", 2), ("vertical_flip", 1)])
def test_a_flip_mirrors_about_half_of_the_images_exactly(how, axis):
    images = noise(64)
    out = changed(images, **{how: True})
    mirrored = [np.allclose(a, b, atol=1e-3) for a, b in zip(out, np.flip(images, axis), strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(out, images, strict=True)]
    assert [a != b for a, b in zip(mirrored, same, strict=True)] == [True] * 64
    assert 20 < sum(mirrored) < 44


def test_a_shift_moves_pixels_by_up_to_its_share_of_width_and_height():
    found, worst = maps(shift=0.25)
    assert worst < 1e-2
    np.testing.assert_allclose(found[:, :, :2], np.broadcast_to(np.eye(2), (N, 2, 2)), atol=1e-3)
    moved = np.abs(centre_moves(found)).max(axis=0)
    assert 0.6 * 0.25 * WIDTH < moved[0] <= 0.25 * WIDTH + 1e-2
    assert 0.6 * 0.25 * HEIGHT < moved[1] <= 0.25 * HEIGHT + 1e-2
    assert len(np.unique(found[:, 0, 2].round(3))) == N


def test_what_is_moved_in_repeats_the_edge():
    images = noise()
    out = changed(images, shift=0.5)
    assert out.min() >= images.min() - 1e-3
    np.testing.assert_allclose(changed(np.full_like(images, 77.0), shift=0.5, rotation=90, zoom=0.5), 77.0, atol=1e-3)


def test_zoom_scales_about_the_centre_and_alike_in_both_directions():
    found, worst = maps(zoom=0.5)
    assert worst < 1e-2
    scale = 1 / found[:, 0, 0]
    np.testing.assert_allclose(found[:, 1, 1], found[:, 0, 0], atol=1e-3)
    np.testing.assert_allclose(found[:, [0, 1], [1, 0]], 0, atol=1e-3)
    np.testing.assert_allclose(centre_moves(found), 0, atol=1e-2)
    assert 0.5 <= scale.min() < 0.75
    assert 1.25 < scale.max() <= 1.5 + 1e-3


def test_rotation_turns_about_the_centre_in_pixels_by_up_to_its_degrees():
    found, worst = maps(rotation=30)
    assert worst < 1e-2
    turns = found[:, :, :2]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(2), (N, 2, 2)), atol=1e-3)
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-3)
    np.testing.assert_allclose(centre_moves(found), 0, atol=1e-2)
    angles = np.degrees(np.arctan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert 15 < np.abs(angles).max() <= 30 + 1e-2
    assert angles.min() < 0 < angles.max()


def test_brightness_adds_one_number_to_all_pixels_of_an_image():
    images = np.random.default_rng(0).uniform(90, 160, (N, 6, 6, 3)).astype(np.float32)
    added = changed(images, brightness=0.2) - images
    of_image = added.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(added, np.broadcast_to(of_image[:, None, None, None], added.shape), atol=1e-3)
    assert 0.12 * 255 < np.abs(of_image).max() <= 0.2 * 255
    assert of_image.min() < 0 < of_image.max()


def test_brightness_never_leaves_the_range_of_pixels():
    out = changed(noise(), brightness=0.9)
    assert out.min() == 0
    assert out.max() == 255


ALL = {"horizontal_flip": True, "vertical_flip": True, "shift": 0.1, "zoom": 0.1, "rotation": 10, "brightness": 0.1}


def test_an_images_changes_hang_on_seed_epoch_and_row_and_not_on_its_batch():
    images = noise()
    together = changed(images, epoch=2, seed=5, **ALL)
    alone = changed(images[7:8], epoch=2, seed=5, rows=[7], **ALL)
    np.testing.assert_array_equal(alone[0], together[7])
    again = changed(images, epoch=2, seed=5, **ALL)
    np.testing.assert_array_equal(again, together)
    for other in ({"epoch": 3, "seed": 5}, {"epoch": 2, "seed": 6}):
        assert not np.isclose(changed(images, **other, **ALL), together).all(axis=(1, 2, 3)).any()
    same_picture = changed(np.repeat(images[:1], N, axis=0), **ALL)
    assert len({picture.tobytes() for picture in same_picture}) == N


def test_the_stream_augments_each_image_anew_in_every_epoch():
    images, rows = noise(6).astype(np.uint8), np.arange(6)
    how = Augmentation(rotation=20, brightness=0.1)
    stream, steps = training_stream(images, rows, np.ones(6), rows, epochs=3, batch_size=4, augmentation=how, seed=1)
    by_epoch = [{} for _ in range(3)]
    for number, (x, y, _) in enumerate(stream):
        by_epoch[number // steps] |= dict(zip(y.numpy().tolist(), x.numpy(), strict=True))
    for epoch, found in enumerate(by_epoch):
        expected = changed(images, epoch=epoch, seed=1, rotation=20, brightness=0.1)
        for row in rows:
            np.testing.assert_allclose(found[row], expected[row], atol=1e-3)
    assert not np.allclose(by_epoch[0][0], by_epoch[1][0])


def test_each_image_of_a_batch_may_have_a_turn_of_its_own():
    images = noise(4)
    turns, rows = tf.constant([0, 3, 3, 1], tf.int64), tf.range(4, dtype=tf.int64)
    mixed = augment(images, rows, turns, Augmentation(**ALL), 5).numpy()
    for place, turn in enumerate(turns.numpy()):
        np.testing.assert_array_equal(mixed[place], changed(images, epoch=int(turn), seed=5, **ALL)[place])


def test_how_changes_are_kept_is_no_change():
    assert not Augmentation(mode="cached", variants=9).active
    assert Augmentation(mode="cached", rotation=1).active
    assert Augmentation(horizontal_flip=True).active
