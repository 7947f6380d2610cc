"""Recorded experiments read back: exported, and compared with each other."""
