"""Disjoint parts of the images: folds, validation images, and what must never be split."""
