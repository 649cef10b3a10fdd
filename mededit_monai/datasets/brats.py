# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""BraTS as downloaded (2023, and the names of 2021 and before): skull-stripped scans, and regions of the tumour."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mededit_monai.core.paths import user_path
from mededit_monai.datasets.sources import Listing, SourceVolume, beside, find_brain, is_hidden_part, nifti_files
from mededit_monai.io.case_names import NIFTI_END

#: What a scan's name ends in since 2023, and before; by modality.
ENDINGS = {
    "t1": ("t1n", "t1"),
    "t1ce": ("t1c", "t1ce", "t1gd"),
    "t2": ("t2w", "t2"),
    "flair": ("t2f", "flair"),
}
_MODALITY = {ending: name for name, endings in ENDINGS.items() for ending in endings}
_SCAN = re.compile(rf"(?P<name>.+?)(?P<mark>[-_])(?P<ending>{'|'.join(_MODALITY)}){NIFTI_END}", re.IGNORECASE)

#: Since 2023 the last number counts the time points of a patient.
_TIME_POINT = re.compile(r"(?P<patient>BraTS(?:-[A-Za-z]+)+-\d+)-\d+", re.IGNORECASE)


def find_brats(root: str | Path, brains: str | None = None, modalities: Sequence[str] = ()) -> Listing:
    """
    List the scans of a BraTS download, anywhere under a folder.

    Args:
        root: the download or a part of it.
        brains: where brain masks are, should the scans not be skull-stripped as released; see
            :func:`~mededit_monai.datasets.sources.find_brain`.
        modalities: heads on all of these, of t1, t1ce, t2 and flair; none: scans of t1ce alone.

    Returns:
        volumes named as the files are; ``BraTS-GLI-00000-000`` and ``-001`` belong to one patient. Scans of the
        challenge's validation part, which has no segmentations, are ignored. Whether the labels are those that the
        editor knows is seen when the files are read.

    Raises:
        InputError: if the folder does not exist or holds no such scan.
    """
    root, listing = user_path(root), Listing()
    spelled: dict[str, str] = {}  # a patient in lower case → as first met: one patient, however the files are spelled
    wanted = tuple(modalities) or ("t1ce",)
    for name, mark, scans in _heads(root, wanted):
        scan = next(iter(scans.values()))
        missing = [modality for modality in wanted if modality not in scans]
        time_point = _TIME_POINT.fullmatch(name)
        patient = time_point["patient"] if time_point else name
        patient = spelled.setdefault(patient.lower(), patient)
        labels, target = beside(scan, f"{name}{mark}seg"), beside(scan, f"{name}{mark}gtv")
        brain = next((found for one in scans.values() if (found := find_brain(one, root, brains))), None)
        if missing and not is_hidden_part(scan, root):
            file = f"{name}{mark}{ENDINGS[missing[0]][mark == '_']}.nii.gz"
            listing.add_problem(
                name,
                f"{scan.parent / file}: is missing, wanted every modality of --modalities ({', '.join(wanted)}) beside "
                f"{scan.name}; unpack the download again, or leave {missing[0]} out.",
            )
        elif labels is not None and not missing:
            own = dict(scans) if modalities else {}
            listing.volumes.append(SourceVolume(name, patient, scan, labels, True, brain, own))
        elif target is not None and not modalities:  # BraTS-MEN-RT outlines the target of the radiotherapy: no regions
            listing.volumes.append(SourceVolume(name, patient, scan, target, None, brain))
        elif is_hidden_part(scan, root):
            listing.ignored[name] = "belongs to the validation part, whose segmentations are not published"
        else:
            listing.add_problem(
                name,
                f"{scan}: has no segmentation, wanted {name}{mark}seg.nii.gz beside it; unpack the download again.",
            )
    since, before = (ENDINGS[wanted[0]][k] for k in (0, 1))
    return listing.settle(root, f"BraTS-GLI-00000-000-{since}.nii.gz or BraTS2021_00000_{before}.nii.gz")


def _heads(root: Path, wanted: Sequence[str]) -> Iterator[tuple[str, str, dict[str, Path]]]:
    """Name, the mark before the ending, and the scans that there are of the modalities wanted, in their order."""
    heads: dict[tuple[Path, str, str], dict[str, list[Path]]] = {}
    for path in nifti_files(root, "BraTS"):
        match = _SCAN.fullmatch(path.name)
        if match is not None and (modality := _MODALITY[match["ending"].lower()]) in wanted:
            heads.setdefault((path.parent, match["name"], match["mark"]), {}).setdefault(modality, []).append(path)
    for (_, name, mark), found in heads.items():
        copies = max(map(len, found.values()))  # each is a volume of its own, and which is right cannot be known
        for copy in range(copies):
            yield name, mark, {one: found[one][min(copy, len(found[one]) - 1)] for one in wanted if one in found}
