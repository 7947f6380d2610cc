"""Thresholds, decision curves, and what happens when a model may abstain."""
