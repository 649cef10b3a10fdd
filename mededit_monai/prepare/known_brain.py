# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A scan and its brain as every verb reads them, and what is odd about the two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume, binary_mask, read_echo, read_volume, require_same_grid
from mededit_monai.prepare.extract import found_brain
from mededit_monai.prepare.plausible import brain_warnings, scan_warnings


def read_scan(path: str | Path, echo: int | None = None) -> Volume:
    """
    A scan with something in it.

    Args:
        echo: which volume of a scan with several, from 0.

    Raises:
        InputError: as of :func:`~mededit_monai.io.nifti.read_echo`, or no voxel is positive.
    """
    scan = read_echo(path, echo)
    require_signal(scan)
    return scan


def require_signal(scan: Volume) -> None:
    """Refuse a scan without a positive voxel; InputError."""
    if float(scan.data.max()) <= 0:
        raise InputError(f"{scan.path}: has no positive voxel (maximum {scan.data.max():g}); give a T1 scan.")


def mask_warnings(mask: Volume, scan: Volume) -> list[str]:
    """
    What is odd about a mask's file and grid.

    Raises:
        InputError: it lies on another grid than the scan.
    """
    apart = require_same_grid(mask, scan)
    return [*mask.warnings, *([apart] if apart else [])]


@dataclass(frozen=True, eq=False)
class KnownBrain:
    """
    The brain of a scan.

    Args:
        mask: bool, XxYxZ RAS.
        source: ``file``, ``background`` of a skull-stripped scan, or ``network``.
        warnings: sentences about its file, about the mask, and about the scan within it.
    """

    mask: np.ndarray
    source: str
    warnings: list[str]

    @classmethod
    def of(cls, scan: Volume, path: str | Path | None = None, extract: bool = True) -> KnownBrain:
        """
        The brain of a file, or the one that is found.

        Args:
            path: of its mask; None: there is none.
            extract: whether a network may find it in a whole head.

        Raises:
            InputError: a mask that cannot be used, or as of :func:`~mededit_monai.prepare.extract.found_brain`.
        """
        warnings: list[str] = []
        if path is None:
            mask, source = found_brain(scan, extract)
        else:
            given = read_volume(path)
            warnings += mask_warnings(given, scan)
            mask, source = binary_mask(given), "file"
        warnings += brain_warnings(None if path is None else Path(path), mask, scan) + scan_warnings(scan, mask)
        return cls(mask, source, warnings)
