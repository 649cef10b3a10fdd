# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a synthesis takes: every size is a network of the bundle's configs, and each measure is of one that works."""

from __future__ import annotations

import pytest

from studies import synthesis_cost as study


@pytest.mark.parametrize("size", list(study.SIZES))
def test_a_size_is_that_of_its_config(size):
    side, overlay = study.SIZES[size]
    for config in ("train.yaml", "inference.yaml"):
        parser = study.parsed(size, config)
        assert (parser["side"], parser["depth"]) == (side, side)
        assert len(parser["modalities"]) == (4 if "four" in size else 1)
    assert study.parsed(size, "train.yaml")["checkpointing"] is (side > 64)
    assert overlay is None or (study.REPOSITORY / overlay).is_file()


def test_both_measures(monkeypatch):
    monkeypatch.setitem(study.SIZES, "16", (16, None))
    monkeypatch.setattr(study, "parsed", small(study.parsed))
    for what in ("training", "synthesis"):
        found = study.measure("16", what, True)
        assert 0 < found["seconds"] < 60 and 0.1 < found["gigabytes"] < 24


def small(parsed):
    """The same with a network that is no work."""

    def quick(size, config, **options):
        return parsed(size, config, channels=[8, 16, 16], norm_num_groups=4, num_head_channels=8, **options)

    return quick
