# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a training case must be before a network sees it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Transform

from mededit_monai.core.errors import InputError

#: Rounding of an image stored in half precision.
TOLERANCE = 1e-3


class CheckCased(Transform):
    """
    Refuse a training case that cannot be trained on.

    Args:
        image_keys: intensities, to lie in [0, 1].
        mask_keys: masks, to hold 0 and 1 only.
        label_keys: a tumour's labels, to hold 0 to 3 only.
        size: spatial shape of every case; None for that of the first one met.
        multiple: what every side must be a multiple of (the network's).

    Raises:
        InputError: other sizes, NaN or infinite values, intensities outside [0, 1], a mask that is not binary.
    """

    def __init__(
        self,
        image_keys: Sequence[str] = ("image", "prior"),
        mask_keys: Sequence[str] = ("brain", "pathology", "prior_brain"),
        label_keys: Sequence[str] = ("regions",),
        size: Sequence[int] | None = None,
        multiple: int = 1,
    ) -> None:
        self.image_keys, self.mask_keys = tuple(image_keys), tuple(mask_keys)
        self.label_keys = tuple(label_keys)
        self.size = None if size is None else tuple(size)
        self.multiple = multiple

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        """
        Args:
            data: a case with tensors 1xHxW[xD] under the keys; absent keys are left alone.
        """
        for key in (*self.image_keys, *self.mask_keys, *self.label_keys):
            if key not in data:
                continue
            tensor, where = data[key], f"case '{data.get('case_id', '?')}', '{key}'"
            shape = tuple(tensor.shape[1:])
            self.size = self.size or shape
            if shape != self.size:
                raise InputError(
                    f"{where}: has size {shape}, wanted {self.size} as the cases before; prepare all cases on one grid."
                )
            if any(side % self.multiple for side in shape):
                raise InputError(f"{where}: has size {shape}, wanted multiples of {self.multiple}; pad or resample it.")
            if not torch.isfinite(tensor).all():
                raise InputError(f"{where}: holds NaN or infinite values; mend the file.")
            low, high = float(tensor.min()), float(tensor.max())
            if key in self.image_keys and (low < -TOLERANCE or high > 1 + TOLERANCE):
                raise InputError(f"{where}: lies in [{low:g}, {high:g}], wanted [0, 1]; divide by the 98th percentile.")
            if key in self.mask_keys and not ((tensor == 0) | (tensor == 1)).all():
                values = torch.unique(tensor)[:5].tolist()
                raise InputError(f"{where}: holds {values}, wanted 0 and 1 only; binarise the mask.")
            if key in self.label_keys and not ((tensor >= 0) & (tensor <= 3) & (tensor == tensor.round())).all():
                values = torch.unique(tensor)[:5].tolist()
                raise InputError(f"{where}: holds {values}, wanted 0, 1 (core), 2 (edema) and 3 (enhancing) only.")
        return data
