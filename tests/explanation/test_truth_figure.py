from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.explanation.measures import TRUTH_COLUMNS, verdicts
from tasks.explanation.methods import names
from tasks.explanation.truth_figure import write_truth_figure

pytestmark = pytest.mark.filterwarnings("error")


def tables(methods, n_images):
    random = np.random.default_rng(0)
    numbers = [column for column in TRUTH_COLUMNS if column not in ("path", "group", "method", "label")]
    truth = pd.concat(
        pd.DataFrame(random.normal(0.4, 0.1, (n_images, len(numbers))), columns=numbers).assign(
            path=[f"{i}.png" for i in range(n_images)], group=None, method=method, label="$a_b$"
        )
        for method in methods
    )
    ends = {"ssim_low": np.nan, "ssim_high": np.nan, "rank_low": 0.1, "rank_high": 0.9}
    stages = [{"stage": stage, "n_layers": 2 * stage, "layer": "", "ssim": 0.5, "rank": 0.4} | ends for stage in (0, 1)]
    return truth, pd.DataFrame([{"method": method} | stage for method in methods for stage in stages])


@pytest.mark.parametrize(("methods", "n_images"), [(["gradcam"], 1), (["gradcam", "rise"], 12), (names(), 7)])
def test_the_figure_is_drawn_for_any_number_of_methods_and_images(tmp_path, methods, n_images):
    truth, sanity = tables(methods, n_images)
    write_truth_figure(tmp_path / "truth.png", truth, sanity, verdicts(truth), title="N-CNN · fold 1")
    with Image.open(tmp_path / "truth.png") as picture:
        width, height = picture.size
        assert np.asarray(picture).std() > 10
    assert 1200 < width < 2200
    assert 350 < height < 1400


def test_what_was_not_measured_is_left_out(tmp_path):
    truth, sanity = tables(["gradcam", "rise"], 8)
    truth.loc[truth["method"] == "rise", ["noise", "shift", "sanity_rank", "sanity_ssim"]] = np.nan
    sanity.loc[sanity["method"] == "rise", ["ssim", "rank", "rank_low", "rank_high"]] = np.nan
    write_truth_figure(tmp_path / "truth.png", truth, sanity, verdicts(truth), title="N-CNN · fold 1")
    assert (tmp_path / "truth.png").stat().st_size > 10_000
