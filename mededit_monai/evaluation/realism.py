# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Realism of a row's edits against pathological test slices, and the resamples that its intervals are made of."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import group_of
from mededit_monai.io.nifti import read_array
from mededit_monai.judges.features import Extractor
from mededit_monai.metrics.realism import Features, RealismScore, fid, frechet_distance, kid, two_sample_auc
from mededit_monai.metrics.statistics import joint_draws

#: Resamples of edits and real slices for the combined figure: each takes a FID.
DRAWS = 200


def plane(path: str | Path) -> np.ndarray:
    """A slice's file, read to its checksum, as float32 HxW; InputError for one that is damaged or not finite."""
    return read_array(path).astype(np.float32, copy=False).squeeze()


def reference_features(extractor: Extractor, cases: Sequence[Mapping[str, Any]]) -> Features:
    """
    Features of the true pathological images of paired cases, times their brain masks.

    Args:
        cases: with ``image``, ``brain``, and ``anatomy`` or ``patient`` by which they belong together.

    Raises:
        InputError: a case without image.
    """
    if missing := [case["case_id"] for case in cases if "image" not in case]:
        raise InputError(
            f"--realism: case '{missing[0]}' has no 'image' to compare with; it goes with --pairing paired."
        )
    return _image_features(extractor, cases, [group_of(case) for case in cases])


def _image_features(extractor: Extractor, cases: Sequence[Mapping[str, Any]], groups: Sequence[Hashable]) -> Features:
    """Of the cases' ``image``, clipped to [0, 1], times ``brain``."""
    images = np.stack([plane(case["image"]).clip(0, 1) * (plane(case["brain"]) > 0) for case in cases])
    return extractor.features(images, groups)


class RealismJudge:
    """
    Features of the real slices of one extractor, and scores of edits against them.

    Args:
        extractor: of features.
        real: ``image``, ``brain`` and ``group`` of each slice.
        seed: of every resampling.
    """

    def __init__(self, extractor: Extractor, real: Sequence[Mapping[str, Any]], seed: int) -> None:
        self.extractor, self.seed = extractor, seed
        self.real = _image_features(extractor, real, [case["group"] for case in real])

    def features(self, edits: np.ndarray, groups: Sequence[Hashable]) -> Features:
        """Of edits NxHxW in [0, 1], times their brain masks."""
        return self.extractor.features(edits, groups)

    def scores(self, edits: Features) -> dict[str, RealismScore | None]:
        """``fid``, ``kid``, ``auc``; None where there are too few images or groups of them."""
        whole = min(len(set(edits.groups or ())), len(set(self.real.groups or ())))
        tries = {
            "fid": lambda: fid(edits, self.real, seed=self.seed),
            "kid": lambda: kid(edits, self.real, seed=self.seed),
            "auc": lambda: two_sample_auc(edits, self.real, folds=min(5, whole), seed=self.seed),
        }
        found: dict[str, RealismScore | None] = {}
        for name, compute in tries.items():
            try:
                found[name] = compute()
            except ValueError:  # fewer groups than folds or halves
                found[name] = None
        return found

    def draws(self, groups: Sequence[Hashable]) -> list[tuple[np.ndarray, np.ndarray]]:
        """
        Numbers of resampled edits and real slices: anatomies first, those of both sets at once, then cases; the same
        for every row of one size.

        Args:
            groups: of the edits.
        """
        return joint_draws(groups, list(self.real.groups or ()), DRAWS, self.seed)

    def resampled(self, edits: Features) -> np.ndarray:
        """
        FIDs of resampled sets, by :meth:`draws`.

        A resampled set repeats images, which raises its FID; whoever uses the spread must shift it back.
        """
        pairs = self.draws(list(edits.groups or ()))
        return np.array([frechet_distance(edits.values[a], self.real.values[b]) for a, b in pairs])
