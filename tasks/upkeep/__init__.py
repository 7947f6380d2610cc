"""What foldcam keeps on disk and may throw away: leftovers of killed processes, and what is not used any more."""
