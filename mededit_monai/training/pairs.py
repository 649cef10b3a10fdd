# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The same random appearance for both scans of a pair, so that they stay equal where the lesion changed nothing.

MONAI's dictionary transforms share a draw between keys, but contrast curves also take the range of the image at hand,
and Rician noise is drawn anew for every key. As channels of one image both scans share range and draw.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, Transform

from mededit_monai.diseases import DISEASES
from mededit_monai.space.intensity import intensity_ceiling, to_unit


class Jointlyd(MapTransform, Randomizable):
    """
    Apply an array transform to several images at once, as channels of one.

    Args:
        keys: images 1xHxW[xD] of one shape.
        transform: for a channel-first image, perhaps a random ``Compose``.
    """

    def __init__(self, keys: KeysCollection, transform: Callable) -> None:
        MapTransform.__init__(self, keys)
        self.transform = transform

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> Jointlyd:
        """Seed the transform inside."""
        super().set_random_state(seed, state)
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        changed = self.transform(torch.cat([torch.as_tensor(case[key]) for key in self.keys]))
        return case | {key: changed[k : k + 1] for k, key in enumerate(self.keys)}


class PairCeilingd(Transform):
    """
    Skull-strip both scans of a pair and divide them by the prior's percentile, as a scan to edit will be; or the prior
    alone, where a case has no ``image``.

    Args:
        disease: whose percentile of the skull-stripped prior, background included, becomes 1: of a slice, or of the
            volume's slice with the most brain.
    """

    def __init__(self, disease: str) -> None:
        self.percentile = DISEASES[disease].percentile

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """
        Args:
            data: a case with ``image``, ``prior``, 1xHxW[xD], at least 0, and their masks ``brain``, ``prior_brain``;
                ``plane_pixels`` of a slice if background was cut off.
        """
        case = dict(data)
        prior_brain = case["prior_brain" if "prior_brain" in case else "brain"] > 0
        scans = {"prior": case["prior"] * prior_brain}
        if "image" in case:
            scans["image"] = case["image"] * (case.get("brain", prior_brain) > 0)
        plane = np.asarray(scans["prior"][0])
        if plane.ndim == 3:
            plane = plane[..., int(prior_brain[0].sum(dim=(0, 1)).argmax())]
        missing = max(0, int(case.get("plane_pixels", plane.size)) - plane.size)
        ceiling = intensity_ceiling(np.concatenate([plane.ravel(), np.zeros(missing, plane.dtype)]), self.percentile)
        return case | {key: torch.from_numpy(to_unit(np.asarray(scan), ceiling)) for key, scan in scans.items()}
