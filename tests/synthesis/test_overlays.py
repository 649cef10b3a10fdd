# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Config files of a bundle are found by their name, so that they need no clone; others by their path."""

from __future__ import annotations

import pytest
from conftest import REPOSITORY

from mededit_monai.core.errors import InputError
from mededit_monai.workflows import checked_overlays

OWN = "four_modalities.yaml"


def test_a_bundle_s_own_is_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = REPOSITORY / "bundles" / "semantic_synthesis" / "configs" / OWN
    assert checked_overlays([OWN], "semantic_synthesis") == [str(shipped)]
    (tmp_path / OWN).write_text("side: 96\n")  # what lies in the working directory goes before it
    assert checked_overlays([OWN], "semantic_synthesis") == [OWN]


@pytest.mark.parametrize("given", [OWN, f"elsewhere/{OWN}", "latent"])
def test_nothing_else_is_guessed_at(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundle = None if given == OWN else "semantic_synthesis"
    with pytest.raises(InputError, match=f"--config: {given} not found"):
        checked_overlays([given], bundle)
