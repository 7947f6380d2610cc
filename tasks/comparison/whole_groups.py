"""The group of each image, as intervals and tests over images take it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def whole_groups(groups: pd.Series, paths: pd.Series) -> NDArray[np.object_] | None:
    """Give the group of each of some images, of shape (n_images,); None where each is a group of its own.

    An image without a group beside others that have one gets a name of its own.

    Parameters
    ----------
    groups : Series of str or None, by path
        What images belong together.
    paths : Series of str
        The images, in order.
    """
    own = groups.reindex(paths)
    alone = own.isna().to_numpy()
    if alone.all():
        return None
    return np.where(alone, np.array([f"image {path}" for path in paths], dtype=object), own.to_numpy(dtype=object))
