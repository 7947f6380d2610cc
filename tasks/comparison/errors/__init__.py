"""What the backbones get wrong, and labels that are probably wrong themselves."""
