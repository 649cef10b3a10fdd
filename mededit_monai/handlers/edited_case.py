# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A case and its edits, between the batch that they were made in and the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mededit_monai.handlers.effects_files import Moved
from mededit_monai.space.fine_view import FineEdit


@dataclass(frozen=True)
class EditedCase:
    """
    A case and its edits, on the model's grid; a row is a slice, or the volume.

    Args:
        case: what its transforms made of it, without the tensors.
        prior: rows x ``space.shape`` in [0, 1].
        edits: samples x rows x ``space.shape`` in [0, 1].
        brain, pathology: bool, rows x ``space.shape``.
        regions: bool, samples x rows x ``space.shape``: where each edit may differ from the prior.
        facts: of the batch that it was edited in, for the provenance.
        moved: what the lesion moved in each edit, if that was asked for.
        fine: what was painted on a grid finer than the model's in each edit, if any was.
        drawn: labels of a tumour's regions in each edit, rows x the grid that was painted on, if they were drawn.
    """

    case: Mapping[str, Any]
    prior: np.ndarray
    edits: np.ndarray
    brain: np.ndarray
    pathology: np.ndarray
    regions: np.ndarray
    facts: Mapping[str, Any]
    moved: Sequence[Moved] | None = None
    fine: Sequence[FineEdit | None] | None = None
    drawn: Sequence[np.ndarray] | None = None
