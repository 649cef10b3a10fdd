# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every method still gives what it gave, to 1e-4: processors round differently; studies.golden compares bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from recorded import FILE, UNRECORDED, edited, name_of, runs
from released_bundle import shipped

from mededit_monai.methods.record import METHODS

#: Run → evaluations, and means over 16x16 tiles of an edit made before editors, samplers and options had rooms.
RECORDED = json.loads(FILE.read_bytes())


def test_all_recorded_runs_are_run():
    assert {name_of(*run) for run in runs() if run[1] not in UNRECORDED} == set(RECORDED)


#: The tumour bundle's weights are those of another training, its methods the same code; two of them show that much.
SLOW = {("tumor", method) for method in ("naive_repaint", "sdedit", "palette", "palette_original")}
KINDS = sorted({(bundle, method, condition) for bundle, method, condition, _ in runs()})


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "bundle, method, condition",
    [pytest.param(*one, marks=pytest.mark.slow if one[:2] in SLOW else ()) for one in KINDS],
)
def test_the_same_edits(bundle, method, condition):
    if method in UNRECORDED:
        pytest.skip(UNRECORDED[method])
    shipped(bundle, METHODS[method].weights_file(condition))
    for run in runs():
        if run[:3] != (bundle, method, condition):
            continue
        found, wanted = edited(*run), RECORDED[name_of(*run)]
        assert found["evaluations"] == wanted["evaluations"]
        assert np.abs(np.array(found["tiles"]) - wanted["tiles"]).max() < 1e-4, name_of(*run)
