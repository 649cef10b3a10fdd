# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a scan that is to be edited shows a lesion already."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

from monai.transforms import Transform

from mededit_monai.diseases import DISEASES
from mededit_monai.judges.embedded import shipped_volume_judge

#: A scan is warned of if the judge sees this many times what it sees in 95 % of held-out scans without lesion at most.
BEYOND = 2.0


#: Loaded once a process, whatever the number of cases.
shipped_judge = lru_cache(maxsize=2)(shipped_volume_judge)


class LookForLesiond(Transform):
    """
    Warn of a scan in which the judge of volumes sees a lesion: an edit adds one to those that are there.

    Input: a case of :class:`~mededit_monai.space.to_model.ToModelSpaced` that is a volume: ``image`` in [0, 1] and
    ``brain``, 1x1xHxWxD; its ``warnings`` may get one more. Without a judge of volumes for the disease nothing is done.

    Args:
        disease: whose lesions are looked for.
    """

    def __init__(self, disease: str) -> None:
        self.disease = disease

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case, judge = dict(data), shipped_judge(self.disease)
        if judge is None:
            return case
        disease = DISEASES[self.disease]
        seen = judge.segment((case["image"] * (case["brain"] > 0))[:, 0])["pathology"]
        found = float(seen.sum()) * case["space"].pixel_mm ** 3 / 1000
        usual = judge.facts["false_alarms"]["most_pixels"] * disease.pixel_mm**3 / 1000
        if found > BEYOND * usual:
            case["warnings"] = [
                *case.get("warnings", ()),
                f"{case['scan'].path.name}: {judge.name} sees {found:.1f} ml of {disease.name} in it, and up "
                f"to {usual:.1f} ml in scans without; if the person is ill already, the edit adds to that.",
            ]
        return case
