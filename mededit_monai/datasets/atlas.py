# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""ATLAS v2.0 as downloaded: T1-weighted scans of chronic strokes in MNI space, with lesion masks."""

from __future__ import annotations

import re
from pathlib import Path

from mededit_monai.core.paths import user_path
from mededit_monai.datasets.sources import Listing, SourceVolume, beside, find_brain, is_hidden_part, nifti_files
from mededit_monai.io.case_names import NIFTI_END

_SCAN = re.compile(rf"(?P<start>(?P<patient>sub-r\d+s\d+)_(?P<session>ses-\d+)_space-[A-Za-z0-9]+)_T1w{NIFTI_END}")
_WANTED = "sub-rXXXsYYY_ses-1_space-MNI152NLin2009aSym_T1w.nii.gz"


def find_atlas(root: str | Path, brains: str | None = None) -> Listing:
    """
    List the scans of an ATLAS download, anywhere under a folder.

    Args:
        root: the download, its ``Training`` folder, or a part of it.
        brains: where brain masks are, see :func:`~mededit_monai.datasets.sources.find_brain`.

    Returns:
        volumes named by subject; scans of the challenge's testing part, which has no masks, are ignored.

    Raises:
        InputError: if the folder does not exist or holds no such scan.
    """
    root, listing = user_path(root), Listing()
    for scan in nifti_files(root, "ATLAS"):
        match = _SCAN.fullmatch(scan.name)
        if match is None:
            continue
        patient, session = match["patient"], match["session"]
        name = patient if session == "ses-1" else f"{patient}_{session}"
        wanted = f"{match['start']}_label-L_desc-T1lesion_mask"
        mask = beside(scan, wanted)
        if mask is not None:
            listing.volumes.append(SourceVolume(name, patient, scan, mask, False, find_brain(scan, root, brains)))
        elif is_hidden_part(scan, root):
            listing.ignored[name] = "belongs to the testing part, whose masks are not published"
        else:
            listing.add_problem(
                name, f"{scan}: has no lesion mask, wanted {wanted}.nii.gz beside it; unpack the download again."
            )
    return listing.settle(root, _WANTED)
