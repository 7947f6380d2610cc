from __future__ import annotations

import pytest

from tasks.dataset.wording import percent


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0 %"), (1e-9, "below 1 %"), (0.005, "below 1 %"), (0.0051, "1 %"), (0.376, "38 %"), (1, "100 %")],
)
def test_a_share_is_told_in_whole_percent_and_what_is_there_never_as_nothing(share, said):
    assert percent(share) == said
