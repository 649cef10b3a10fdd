# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What the labels of a tumour's regions mean, which differs between the releases of BraTS; light to import.

=====================================  =====================  ===============  =============  ================
release                                1                      2                3              4
=====================================  =====================  ===============  =============  ================
BraTS 2017 to 2021                     necrotic core          edema                           enhancing
BraTS since 2023 (GLI, MET, MEN, …)    necrotic core          edema            enhancing
BraTS since 2024, after treatment      non-enhancing core     edema            enhancing      resection cavity
BraTS-PED                              enhancing              non-enhancing    cyst           edema
Medical Segmentation Decathlon         edema                  non-enhancing    enhancing
=====================================  =====================  ===============  =============  ================

The editor reads the first two rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from mededit_monai.core.errors import InputError

ADULT_LABELS = "1 necrotic or non-enhancing core, 2 edema, 3 enhancing"

_PAEDIATRIC = re.compile(r"brats(20)?(\d\d)?[-_ ]?peds?(?![a-z])", re.IGNORECASE)

#: BraTS-GLI-00000-000, BraTS-MEN-RT-0000-1 and so on, and names with the year.
_SINCE_2023 = re.compile(r"brats([-_][a-z]+)+[-_]\d{4,5}(?!\d)|brats[-_ ]?(20)?(2[3-9]|[3-9]\d)(?!\d)", re.IGNORECASE)

#: BraTS2021_00000, BraTS20_Training_001, Brats18_CBICA_AAB_1.
_UNTIL_2021 = re.compile(r"brats[-_ ]?(20)?(1\d|2[01])(?!\d)", re.IGNORECASE)

#: BRATS_001.nii.gz, Task01 of the Decathlon.
_DECATHLON = re.compile(r"brats_\d{3}\.nii(\.gz)?", re.IGNORECASE)


def refuse_other_labels(path: Path, values: Collection[float], regions: bool = False) -> None:
    """
    Refuse a label map whose labels mean something else than the editor takes them for.

    A map with a single label (0 and 1, or 0 and 255) is a plain mask, whatever its name, unless it is read as regions.

    Args:
        path: the label map; its file name tells the release.
        values: those that it holds, 0 included or not.
        regions: whether label 1 alone will be read as necrotic core too.

    Raises:
        InputError: BraTS-PED, the Decathlon, or label 4 where it is not, or may not be, enhancing tumour.
    """
    labels = {float(value) for value in values} - {0.0}
    if not labels or (len(labels) == 1 and labels <= {1.0, 255.0} and not regions):
        return
    name, found = Path(path).name, ", ".join(f"{value:g}" for value in sorted(labels)[:8])
    if _PAEDIATRIC.search(name):
        raise InputError(
            f"{path}: holds {found} and is paediatric (BraTS-PED labels: 1 enhancing, 2 non-enhancing, 3 cyst, "
            f"4 edema), wanted the adult ones ({ADULT_LABELS}); remap 1 to 3, 2 and 3 to 1, 4 to 2, and rename the "
            f"files."
        )
    if _DECATHLON.fullmatch(name):
        raise InputError(
            f"{path}: holds {found} and is named as in the Medical Segmentation Decathlon (labels: 1 edema, "
            f"2 non-enhancing, 3 enhancing), wanted BraTS's ({ADULT_LABELS}); swap 1 and 2 and rename the files."
        )
    if 4.0 in labels and _SINCE_2023.search(name):
        raise InputError(
            f"{path}: holds label 4, which is the resection cavity since BraTS 2024 and never enhancing tumour, wanted "
            f"labels 1 to 3 ({ADULT_LABELS}); set label 4 to 0 in the file or leave the scan out."
        )
    if {3.0, 4.0} <= labels:
        raise InputError(
            f"{path}: holds label 4 beside label 3, wanted {{0, 1, 2, 3}} or {{0, 1, 2, 4}}; in BraTS 2024 label 3 is "
            f"enhancing tumour and 4 the resection cavity, in BraTS-PED 3 is cyst and 4 edema, up to BraTS 2016 3 is "
            f"non-enhancing and 4 enhancing, so find out which release it is and remap it to {ADULT_LABELS}."
        )


def ambiguous_label_4(values: Collection[float], path: Path | None = None) -> str | None:
    """
    A warning for a map with label 4, unless its name says that it is of BraTS 2021 or before; else None.

    Args:
        values: those that it holds.
        path: the label map; None: its name says nothing.
    """
    if 4.0 not in {float(value) for value in values} or (path is not None and _UNTIL_2021.search(Path(path).name)):
        return None
    return (
        "label 4 was read as enhancing tumour, as in BraTS up to 2021; in BraTS 2024 it is the resection cavity, in "
        "BraTS-PED edema."
    )
