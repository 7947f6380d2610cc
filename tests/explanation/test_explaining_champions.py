from __future__ import annotations

import pytest
import yaml

from tasks.config import InputError
from tasks.explanation.explainable_recorded import recorded_network
from tasks.explanation.said import Said


def test_a_champion_is_not_explained_and_what_to_do_instead_is_said(tmp_path):
    own = {name: {"path": f"artifacts/{name}", "uri": ""} for name in ("about", "code", "networks", "scores")}
    text = yaml.safe_dump({"flavors": {"python_function": {"artifacts": own}}})
    (tmp_path / "MLmodel").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="mean of several networks") as caught:
        recorded_network(tmp_path, Said(), "eyes@champion", None, None)
    for part in ("eyes@champion", "EXPERIMENT/BACKBONE/0", "foldcam predict --explain"):
        assert part in str(caught.value)
