"""Backbones: the registry, how each is built, where its weights come from, what stands on it."""
