# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the JSON beside a judge's weights says is checked as the judge is loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.judges.embedded import judge_network, load_judge
from mededit_monai.judges.structures import structures
from mededit_monai.networks.weights import save_weights, weights_sha256


def test_a_judge_of_another_size_says_so_and_loads(tmp_path):
    network = judge_network("stroke", channels=(8, 8, 16, 16, 24, 8))
    save_weights(network, tmp_path / "judge_stroke.pt")
    facts = {"structures": structures("stroke"), "weights_sha256": weights_sha256(tmp_path / "judge_stroke.pt")}
    place = tmp_path / "judge_stroke.json"
    place.write_text(json.dumps(facts | {"channels": [8, 8, 16, 16, 24, 8]}))
    assert load_judge("stroke", tmp_path).features(np.zeros((2, 32, 32))).shape == (2, 24)
    for wrong in (
        None,
        "16",
        [8] * 5,
        [8, 8, 8, 8, 8, 12],
        [8, 8, 8, 8, 8, True],
        [8, 8, 8, 8, 8, 1e9],
        [8] * 5 + [80000],
    ):
        place.write_text(json.dumps(facts | {"channels": wrong}))
        with pytest.raises(InputError, match="judge_stroke.json: has the channels .*, wanted six multiples of 8"):
            load_judge("stroke", tmp_path)
    own = facts | {"channels": [8, 8, 16, 16, 24, 8]}
    for peak in (0.4, 1, "0.9", None, True, [0.9], float("nan")):
        place.write_text(json.dumps(own | {"peak": peak}))
        with pytest.raises(InputError, match="judge_stroke.json: has the peak .*, wanted a number of at least 0.5"):
            load_judge("stroke", tmp_path)
    place.write_text(json.dumps(own | {"peak": 0.998}))
    judge = load_judge("stroke", tmp_path)  # another peak is another judge, with scores of its own
    assert judge.peak == 0.998 and judge.name.endswith(f"{facts['weights_sha256'][:8]}_peak998")
    place.write_text(json.dumps(facts))  # of the shipped size, which it is not
    with pytest.raises(InputError, match="judge_stroke.pt"):
        load_judge("stroke", tmp_path)
