# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What was changed inside a component belongs to an edit's request, or another edit would pass for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from mededit_monai.core.overridden import overridden

ROOT = Path(__file__).parents[2]


def changed(bundle: str, *overlays: str, **values) -> dict:
    root = ROOT / "bundles" / bundle
    parser = ConfigParser()
    parser.read_config([str(root / "configs" / "inference.yaml"), *(str(ROOT / "configs" / one) for one in overlays)])
    parser.update({name.replace("__", "#"): value for name, value in values.items()})
    parser.parse()  # which rewrites references
    return overridden(parser, root)


@pytest.mark.parametrize("bundle", ["stroke", "tumor", "semantic_synthesis"])
def test_options_of_a_bundles_own_are_no_overrides(bundle):
    assert changed(bundle) == changed(bundle, steps=4, seed=3) == {}
    text = (ROOT / "bundles" / bundle / "configs" / "inference.yaml").read_text()
    assert re.search(r"^request: .*\*\*overridden\(", text, re.M)


def test_values_inside_components_are_named():
    assert changed("stroke", scheduler__beta_end=0.05) == {"overridden": {"scheduler#beta_end": 0.05}}
    found = changed("stroke", "thesis_network.yaml")["overridden"]
    assert found["scheduler#prediction_type"] == "epsilon" and found["network_def#norm_num_groups"] == 32
    assert found["network_def#channels"] == "[128, 256, 256]"  # of another length
    assert [found[f"network_def#{key}"] for key in ("patch", "num_head_channels")] == [1, 256]
    one = changed("stroke", preprocessing__transforms__2__window=200)
    assert one == {"overridden": {"preprocessing#transforms#2#window": 200}}
    left_out = changed("stroke", scheduler={"_target_": "DDPMScheduler"})["overridden"]
    assert left_out["scheduler#beta_start"] is None and len(left_out) == 5


def test_a_bundle_without_the_file_has_no_say(tmp_path):
    parser = ConfigParser({"scheduler": {"beta_end": 1}})
    assert overridden(parser, tmp_path) == {}
