"""From a folder of images to a manifest, folds, decoded arrays and an audit."""
