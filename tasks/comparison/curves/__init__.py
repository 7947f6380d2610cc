"""How training went, over the folds."""
