# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of a whole set as MONAI cumulative metrics: features are gathered case by case and compared at the end."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import torch
from monai.metrics import Cumulative

from mededit_monai.core.errors import InputError
from mededit_monai.metrics.realism import Features, RealismScore, fid, kid, two_sample_auc

#: Stands for the group of a case that belongs to nobody else.
_ALONE = -1


class FeatureSetMetric(Cumulative):
    """
    Gathers features of the edits, and compares them with those of real pathological scans.

    Args:
        extractor: images (BxCxHxW[xD]) → features (BxD); its weights must stay as they are.
        extractor_name: goes into every result.
        reference: features of the real scans; None: the second argument of every call holds real images.
        seed: of resampling.

    Attributes:
        result: the last :class:`RealismScore`.
    """

    def __init__(
        self,
        extractor: Callable[[torch.Tensor], torch.Tensor],
        extractor_name: str,
        reference: Features | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.extractor, self.extractor_name = extractor, extractor_name
        self.reference, self.seed = reference, seed
        self.result: RealismScore | None = None

    def __call__(self, y_pred: Any, y: Any = None, groups: Sequence[Hashable] | None = None) -> None:
        """
        Add a batch.

        Args:
            y_pred: edits, BxCxHxW[xD] or a list of CxHxW[xD].
            y: real images, any number of them; not looked at with a reference.
            groups: patient of each edit, in the reference's names; None: each its own.

        Raises:
            InputError: neither reference nor real images.
        """
        if self.reference is None and not isinstance(y, (torch.Tensor, list, tuple)):
            raise InputError(f"{type(self).__name__} got no real images; give it a reference or real images in y.")
        edits = self._features(y_pred)
        codes = torch.full((len(edits),), _ALONE) if groups is None else torch.tensor(_codes(groups))
        if len(codes) != len(edits):
            raise ValueError(f"got {len(edits)} edits and {len(codes)} groups; wanted a patient for every edit.")
        self.extend(edits, codes, *([] if self.reference is not None else [self._features(y)]))

    @torch.no_grad()
    def _features(self, images: Any) -> torch.Tensor:
        batch = images if isinstance(images, torch.Tensor) else torch.stack(list(images))
        found = self.extractor(batch)
        if found.ndim != 2 or len(found) != len(batch):
            raise ValueError(
                f"the extractor gave {tuple(found.shape)} for {len(batch)} images; wanted one row an image."
            )
        return found.detach().cpu().double()

    def aggregate(self) -> float:
        """Score of everything gathered; the whole result is in ``result``. ValueError before any image."""
        data = self.get_buffer()
        if data is None:
            raise ValueError(f"{type(self).__name__} has not seen any image yet.")
        edits, codes, *rest = data
        real = self.reference or Features(rest[0].numpy(), self.extractor_name)
        groups = None
        if (codes != _ALONE).all():
            groups = codes.tolist()
            real = Features(real.values, real.extractor, _codes(real.groups or ()))
        self.result = self._score(Features(edits.numpy(), self.extractor_name, groups), real)
        return self.result.value

    @abstractmethod
    def _score(self, edits: Features, real: Features) -> RealismScore: ...


def _codes(groups: Iterable[Hashable]) -> list[int]:
    """Groups as whole numbers, the same in every process, which is what MONAI's buffers can gather."""
    return [int.from_bytes(hashlib.sha256(str(group).encode()).digest()[:7], "big") for group in groups]


class BootstrappedFIDMetric(FeatureSetMetric):
    """FID as in the thesis, real set resampled 10 times; see :func:`fid`."""

    def _score(self, edits: Features, real: Features) -> RealismScore:
        return fid(edits, real, seed=self.seed)


class KIDMetric(FeatureSetMetric):
    """Unbiased KID with its interval; see :func:`kid`."""

    def _score(self, edits: Features, real: Features) -> RealismScore:
        return kid(edits, real, seed=self.seed)


class TwoSampleMetric(FeatureSetMetric):
    """Cross-validated AUC of telling edits from real scans; see :func:`two_sample_auc`."""

    def _score(self, edits: Features, real: Features) -> RealismScore:
        return two_sample_auc(edits, real, seed=self.seed)
