# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The probability above which a judge of volumes takes a voxel for a part of the lesion.

It learns from parts of volumes, most of them around a lesion, so it expects lesions more often than they occur, and at
0.5 sees them where there are none. The biases of the last layer put the probability with the best Dice on validation
cases in the place of 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mededit_monai.diseases import DISEASES
from mededit_monai.judges.embedded import Judge, JudgeNetwork
from mededit_monai.judges.samples import LoadSample
from mededit_monai.judges.structures import structures, unpack
from mededit_monai.metrics.adherence import dice

#: Probabilities that are tried.
TRIED = (0.5, 0.6, 0.7, 0.8, 0.9)


def best_threshold(judge: Judge, samples: Sequence[Mapping[str, Any]]) -> float:
    """
    Which of ``TRIED`` gives the parts of a lesion the best Dice: mean over the parts, of each over the cases that have
    it; 0.5 without any.

    Args:
        judge: of volumes; samples: of the validation split.
    """
    parts, names = len(DISEASES[judge.disease].structures), structures(judge.disease)
    load = LoadSample(judge.disease, 3)
    scores: list[list[list[float]]] = [[[] for _ in range(parts)] for _ in TRIED]
    for sample in samples:
        if sample["shown"] != "lesion":
            continue
        loaded = load(sample)
        likely = judge.probabilities(loaded["image"][0])[0, :parts]
        truth = unpack(loaded["label"][None].float(), len(names))[0, :parts].numpy() > 0
        for part in range(parts):
            if truth[part].any():
                for k, threshold in enumerate(TRIED):
                    scores[k][part].append(dice(likely[part] > threshold, truth[part]))
    if not any(scores[0]):
        return 0.5
    means = [np.mean([np.mean(part) for part in of_one if part]) for of_one in scores]
    return TRIED[int(np.argmax(means))]


@torch.no_grad()
def set_threshold(network: JudgeNetwork, disease: str, threshold: float) -> None:
    """Take so much from the logits of a lesion's parts that a probability of ``threshold`` becomes 0.5."""
    rows = len(DISEASES[disease].structures) * network.cells
    network.unet.final_conv.bias[:rows] -= math.log(threshold / (1 - threshold))
