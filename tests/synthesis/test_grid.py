# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A network's levels fit on the grid, or a sentence says which option to change."""

from __future__ import annotations

import pytest
from conftest import REPOSITORY
from synthesis.heads import label_array, write_heads, write_label

from mededit_monai.core.errors import InputError
from mededit_monai.synthesis.grid import require_levels_fit
from mededit_monai.workflows import synthesize, train

BUNDLE = REPOSITORY / "bundles" / "semantic_synthesis"
FOUR = {"channels": [32, 64, 64, 128], "attention_levels": [False] * 4}


def test_what_fits():
    require_levels_fit(32, 32, (32, 64, 64, 128), 2, "concat")
    require_levels_fit(192, 144, (64, 64, 128, 192, 256), 1, "concat")
    require_levels_fit(16, 16, (8,) * 4, 2, "concat")  # a single voxel at the last level
    require_levels_fit(16, 32, (8,) * 4, 2, "spade")


@pytest.mark.parametrize(
    ("side", "depth", "levels", "conditioning", "sentence"),
    [
        (36, 32, 4, "concat", "--side: got 36, wanted a multiple of 16, which 4 levels on cells of 2 need; change it"),
        (32, 40, 4, "concat", "--depth: got 40, wanted a multiple of 16"),
        (32, 32, 6, "concat", "--side: got 32, wanted a multiple of 64, .*, or give fewer --channels"),
        (16, 16, 4, "spade", "--channels: got 4 levels, .* a single voxel of a volume of 16 a side"),
        ("big", 16, 4, "concat", "--side: got 'big', wanted a whole number"),
    ],
)
def test_what_does_not(side, depth, levels, conditioning, sentence):
    with pytest.raises(InputError, match=sentence):
        require_levels_fit(side, depth, (8,) * levels, 2, conditioning)


def test_training_and_synthesis_say_it(tmp_path):
    given = {"datalist": str(write_heads(tmp_path, 16, (2, 1))), "device": "cpu", "progress": False}
    with pytest.raises(InputError, match="--side: got 24, wanted a multiple of 16"):
        train(BUNDLE, output_dir=tmp_path / "out", side=24, depth=32, **FOUR, **given)
    with pytest.raises(InputError, match="--attention_levels: got .*, wanted 4 times true or false"):
        train(BUNDLE, output_dir=tmp_path / "out", side=32, depth=32, channels=FOUR["channels"], **given)
    with pytest.raises(InputError, match="--depth: got 40, wanted a multiple of 16"):
        synthesize(write_label(tmp_path / "m.nii.gz", label_array()), tmp_path / "out", side=32, depth=40, **FOUR)
    assert not (tmp_path / "out").exists()
