"""Fitting a model: session settings, frozen features, batches, the training loop."""
