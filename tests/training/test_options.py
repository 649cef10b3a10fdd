# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Mad numbers, kinds and devices as options of a training: one sentence, and nothing is written."""

from __future__ import annotations

import math

import pytest
from training.small_cases import TOY, small_cases

from mededit_monai.core.errors import InputError
from mededit_monai.workflows import train

MAD = [
    *(("learning_rate", value) for value in (-1, 0, math.nan, math.inf, 11, True, "fast", 10**400)),
    *(("ema_decay", value) for value in (-0.1, 1, math.nan, 2)),
    *(("clip_norm", value) for value in (-1, math.inf, math.nan, "a")),
    *(("min_snr_gamma", value) for value in (0, -5, math.nan)),
    *(("lesion_weight", value) for value in (-1, math.inf)),
    *(("flip", value) for value in (-0.1, 1.1, math.nan, True)),
    *(("warmup_iterations", value) for value in (-1, 1.5, 10**12)),
    *(("num_workers", value) for value in (-1, 257, 0.5)),
    *(("batch_size", value) for value in (0, -2, 65537, True, 2.0)),
    *(("max_epochs", value) for value in (0, -1, 10**7 + 1, math.inf)),
    *(("seed", value) for value in (-1, 2**63, 0.5, "x")),
    *(("preview_interval", value) for value in (-1, 0.5)),
    *(("channels", value) for value in ([], 8, "wide", [8, -8], [8, 0], [8, 12.5], [8, 9], [8] * 11, [8, 2**20])),
    *(("attention_levels", value) for value in ([True], [0.5, True], "yes", [True, False, True])),
    *(("num_head_channels", value) for value in (0, -8, 7, 0.5)),
    *(("norm_num_groups", value) for value in (0, -1, 3)),
    *(("patch", value) for value in (0, -1, 1.5, 10**9)),
    *(("device", value) for value in ("cuda:9", "gpu", "")),
    *(("resume", value) for value in ("yes", 2)),
    *(("datalist", value) for value in (123, True, 1.5)),
    *(("family", value) for value in ("other", 3, [1])),
]


@pytest.mark.parametrize(("name", "value"), MAD, ids=str)
def test_mad_options_are_refused_in_one_sentence(tmp_path, name, value):
    datalist = str(small_cases(tmp_path / "data"))
    with pytest.raises(InputError) as caught:
        train(output_dir=tmp_path / "out", **({"datalist": datalist} | TOY | {name: value}))
    sentence = str(caught.value)
    assert "\n" not in sentence and f"--{name}" in sentence.replace("--channels", f"--{name}", 1), sentence
    assert not (tmp_path / "out").exists()
