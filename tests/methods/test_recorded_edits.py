# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every method still gives what it gave, to 1e-4: processors round differently; studies.golden compares bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import REPOSITORY
from recorded import phantom, runs, summary

from mededit_monai.methods.build import build_editor
from mededit_monai.space.conditions import condition_channels
from mededit_monai.workflows import bundle_content

#: Run → evaluations, and means over 16x16 tiles of an edit made before editors, samplers and options had rooms.
RECORDED = json.loads((REPOSITORY / "tests" / "data" / "recorded_edits.json").read_bytes())


def name_of(bundle: str, method: str, condition: str, settings: dict) -> str:
    return " ".join([bundle, method, condition, *(f"{key}={value}" for key, value in settings.items())])


def test_all_recorded_runs_are_run():
    assert {name_of(*run) for run in runs()} == set(RECORDED)


@pytest.mark.parametrize("bundle, method", sorted({(bundle, method) for bundle, method, _, _ in runs()}))
def test_the_same_edits(bundle, method):
    case = phantom()
    for run in runs():
        if run[:2] != (bundle, method):
            continue
        condition, settings = run[2:]
        network, scheduler = bundle_content(
            bundle, ("network", "scheduler"), method=method, condition=condition, device="cpu"
        )
        labels = case["lesion"][0] if condition == "regions" else (case["lesion"][0] > 0).float()
        channels = condition_channels(labels, condition)[None]
        editor = build_editor(method, scheduler, condition, **settings)
        edit = editor(case["prior"], network.eval(), case["brain"], channels, seeds=[11])
        wanted = RECORDED[name_of(*run)]
        assert edit.evaluations == wanted["evaluations"]
        assert np.abs(np.array(summary(edit.image)) - wanted["tiles"]).max() < 1e-4, name_of(*run)
