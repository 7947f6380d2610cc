"""Where the backbones look, brought together over folds and backbones."""
