"""Means of several backbones, held against the best one."""
