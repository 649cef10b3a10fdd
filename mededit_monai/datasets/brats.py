# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""BraTS as downloaded (2023, and the names of 2021 and before): skull-stripped T1 with contrast agent, and regions."""

from __future__ import annotations

import re
from pathlib import Path

from mededit_monai.core.paths import user_path
from mededit_monai.datasets.sources import Listing, SourceVolume, beside, find_brain, is_hidden_part, nifti_files
from mededit_monai.io.case_names import NIFTI_END

#: t1c since 2023, t1ce before.
_SCAN = re.compile(rf"(?P<name>.+?)(?P<mark>[-_])(t1c|t1ce|t1gd){NIFTI_END}", re.IGNORECASE)

#: Since 2023 the last number counts the time points of a patient.
_TIME_POINT = re.compile(r"(?P<patient>BraTS(?:-[A-Za-z]+)+-\d+)-\d+")
_WANTED = "BraTS-GLI-00000-000-t1c.nii.gz or BraTS2021_00000_t1ce.nii.gz"


def find_brats(root: str | Path, brains: str | None = None) -> Listing:
    """
    List the scans of a BraTS download, anywhere under a folder.

    Args:
        root: the download or a part of it.
        brains: where brain masks are, should the scans not be skull-stripped as released; see
            :func:`~mededit_monai.datasets.sources.find_brain`.

    Returns:
        volumes named as the files are; ``BraTS-GLI-00000-000`` and ``-001`` belong to one patient. Scans of the
        challenge's validation part, which has no segmentations, are ignored. Whether the labels are those that the
        editor knows is seen when the files are read.

    Raises:
        InputError: if the folder does not exist or holds no such scan.
    """
    root, listing = user_path(root), Listing()
    for scan in nifti_files(root, "BraTS"):
        match = _SCAN.fullmatch(scan.name)
        if match is None:
            continue
        name, wanted = match["name"], f"{match['name']}{match['mark']}seg"
        time_point = _TIME_POINT.fullmatch(name)
        patient = time_point["patient"] if time_point else name
        labels, target = beside(scan, wanted), beside(scan, f"{name}{match['mark']}gtv")
        if labels is not None:
            listing.volumes.append(SourceVolume(name, patient, scan, labels, True, find_brain(scan, root, brains)))
        elif target is not None:  # BraTS-MEN-RT outlines the target of the radiotherapy: a mask, no regions
            listing.volumes.append(SourceVolume(name, patient, scan, target, None, find_brain(scan, root, brains)))
        elif is_hidden_part(scan, root):
            listing.ignored[name] = "belongs to the validation part, whose segmentations are not published"
        else:
            listing.add_problem(
                name, f"{scan}: has no segmentation, wanted {wanted}.nii.gz beside it; unpack the download again."
            )
    return listing.settle(root, _WANTED)
