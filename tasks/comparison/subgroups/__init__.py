"""Metrics in parts of the images: sites, cameras, sexes."""
