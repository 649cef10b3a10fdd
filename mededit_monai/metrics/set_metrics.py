# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of a whole set as MONAI cumulative metrics: features are gathered case by case and compared at the end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from monai.metrics import Cumulative

from mededit_monai.core.errors import InputError
from mededit_monai.metrics.realism import Features, RealismScore, fid, kid, two_sample_auc


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

    def __call__(self, y_pred: Any, y: Any = None) -> None:
        """
        Add a batch.

        Args:
            y_pred: edits, BxCxHxW[xD] or a list of CxHxW[xD].
            y: real images, any number of them; not looked at with a reference.

        Raises:
            InputError: neither reference nor real images.
        """
        if self.reference is None and not isinstance(y, (torch.Tensor, list, tuple)):
            raise InputError(f"{type(self).__name__} got no real images; give it a reference or real images in y.")
        batches = (y_pred,) if self.reference is not None else (y_pred, y)
        self.extend(*(self._features(batch) for batch in batches))

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
        edits, real = (data, None) if self.reference is not None else data
        real_features = self.reference or Features(real.numpy(), self.extractor_name)
        self.result = self._score(Features(edits.numpy(), self.extractor_name), real_features)
        return self.result.value

    @abstractmethod
    def _score(self, edits: Features, real: Features) -> RealismScore: ...


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
