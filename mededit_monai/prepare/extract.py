# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The brain of a whole head: deepbet (Fisch et al., Comput Biol Med 2024), whose wheel brings its weights."""

from __future__ import annotations

import contextlib
import io
from functools import lru_cache
from typing import Any

import nibabel as nib
import numpy as np
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.prepare.brain import LARGEST_BRAIN_ML, NotStripped, brain_from_background
from mededit_monai.prepare.plausible import SMALLEST_BRAIN_ML, is_whole_brain


def found_brain(scan: Volume, extract: bool = True) -> tuple[np.ndarray, str]:
    """
    The brain of a scan without a mask of it.

    Args:
        extract: whether a network may find it in a whole head.

    Returns:
        bool, XxYxZ RAS, and where it came from: ``background`` of a skull-stripped scan, or ``network``.

    Raises:
        InputError: see :func:`~mededit_monai.prepare.brain.brain_from_background` and :func:`extracted_brain`.
    """
    try:
        return brain_from_background(scan), "background"
    except NotStripped:
        if not extract or not is_whole_brain(scan):
            raise
    return extracted_brain(scan), "network"


def extracted_brain(scan: Volume) -> np.ndarray:
    """
    The brain mask of a T1-weighted head, with its fluid; in any pose.

    Args:
        scan: whole head.

    Returns:
        bool, XxYxZ RAS: one piece, without holes.

    Raises:
        InputError: nothing like a brain was found; says what was.
    """
    image = nib.Nifti1Image(scan.data, scan.affine)
    try:
        with contextlib.redirect_stderr(io.StringIO()), torch.inference_mode():  # its progress bar
            _, mask, _ = _network(torch.cuda.is_available()).run(image)
    except (AssertionError, ValueError, RuntimeError) as error:  # an empty mask has no largest piece, and no middle
        raise InputError(f"{scan.path}: no brain was found in it ({error}); {_WAYS}.") from error
    brain = np.asarray(mask.dataobj) > 0
    millilitres = float(brain.sum()) * scan.voxel_ml
    if not SMALLEST_BRAIN_ML <= millilitres <= LARGEST_BRAIN_ML:
        raise InputError(
            f"{scan.path}: what was found as its brain has {millilitres:.0f} ml, wanted {SMALLEST_BRAIN_ML:.0f} to "
            f"{LARGEST_BRAIN_ML:.0f}; {_WAYS}."
        )
    return brain


_WAYS = "see that it is the T1-weighted scan of a whole head, or give a brain mask with --brain FILE"


@lru_cache(maxsize=1)
def _network(on_gpu: bool) -> Any:
    from deepbet import BrainExtraction  # 0.5 s

    return BrainExtraction(no_gpu=not on_gpu)
