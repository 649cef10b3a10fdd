# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What is written as JSON is JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mededit_monai.io.atomic import json_bytes, write_json


def test_json_has_no_numbers_that_are_not_finite(tmp_path):
    content = {"a": [1.5, math.nan, (math.inf, -math.inf)], "b": {"c": np.float64("nan"), "d": "NaN"}, "e": True}
    write_json(tmp_path / "one.json", content)
    read = json.loads((tmp_path / "one.json").read_bytes(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert read == {"a": [1.5, None, [None, None]], "b": {"c": None, "d": "NaN"}, "e": True}
    assert math.isnan(content["b"]["c"])  # what was given is as it was
    assert json_bytes({"a": [1, 2.5, None]}, indent=0) == b'{\n"a": [\n1,\n2.5,\nnull\n]\n}\n'
