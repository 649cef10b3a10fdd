# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of a tumour mean what the release says that the file's name tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.prepare.brats_labels import ambiguous_label_4, refuse_other_labels

PAEDIATRIC = "is paediatric (BraTS-PED labels: 1 enhancing, 2 non-enhancing, 3 cyst, 4 edema)"
CAVITY = "holds label 4, which is the resection cavity since BraTS 2024 and never enhancing tumour"
BOTH = "holds label 4 beside label 3, wanted {0, 1, 2, 3} or {0, 1, 2, 4}"
DECATHLON = "is named as in the Medical Segmentation Decathlon"


@pytest.mark.parametrize(
    "name, values, said",
    [
        ("BraTS-PED-00001-000-seg.nii.gz", (0, 1, 2, 4), PAEDIATRIC),
        ("BraTS-PED-00001-000-seg.nii.gz", (0, 1, 2, 3), PAEDIATRIC),
        ("BraTS-PED-00001-000-seg.nii.gz", (0, 2), PAEDIATRIC),
        ("BraTS-PEDs-00001-000-seg.nii", (0, 1, 2), PAEDIATRIC),
        ("brats_ped_00001.nii.gz", (0, 1, 2), PAEDIATRIC),
        ("BraTS2024-PED-00001-000-seg.nii.gz", (0, 1, 2, 3, 4), PAEDIATRIC),
        ("BraTS-GLI-00005-100-seg.nii.gz", (0, 1, 2, 4), CAVITY),
        ("BraTS-GLI-00005-100-seg.nii.gz", (0, 4), CAVITY),
        ("BraTS-GLI-00005-100-seg.nii.gz", (0, 1, 2, 3, 4), CAVITY),
        ("BraTS-MET-00001-000-seg.nii.gz", (0, 4.0), CAVITY),
        ("BraTS-SSA-00001-000-seg.NII.GZ", (0, 2, 4), CAVITY),
        ("BraTS-MEN-00001-000-seg.nii.gz", (0, 2, 4), CAVITY),
        ("BraTS-MEN-RT-0001-1_gtv.nii.gz", (0, 1, 4), CAVITY),
        ("BraTS2024_00001_seg.nii.gz", (0, 1, 2, 4), CAVITY),
        ("BRATS_001.nii.gz", (0, 1, 2, 3), DECATHLON),
        ("lesion.nii.gz", (0, 1, 2, 3, 4), BOTH),
        ("BraTS2021_00000_seg.nii.gz", (0, 3, 4), BOTH),
    ],
)
def test_refused(name, values, said):
    path = Path("data") / name
    with pytest.raises(InputError) as caught:
        refuse_other_labels(path, values)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: holds ") and said in sentence
    assert "1 necrotic or non-enhancing core, 2 edema, 3 enhancing" in sentence
    assert sentence.endswith(".") and "\n" not in sentence


@pytest.mark.parametrize(
    "name, values",
    [
        ("BraTS2021_00000_seg.nii.gz", (0, 1, 2, 4)),
        ("BraTS20_Training_001_seg.nii.gz", (0, 1, 2, 4)),
        ("Brats18_CBICA_AAB_1_seg.nii.gz", (0, 1, 2, 4)),
        ("Brats17_2013_2_1_seg.nii.gz", (0, 4)),
        ("BraTS-GLI-00000-000-seg.nii.gz", (0, 1, 2, 3)),
        ("BraTS-GLI-00000-000-seg.nii.gz", (0,)),
        ("BraTS-PED-00001-000-seg.nii.gz", ()),
        ("BraTS-MEN-RT-0001-1_gtv.nii.gz", (0, 1)),
        ("BRATS_001_mask.nii.gz", (0, 1, 2, 3)),
        ("impeded.nii.gz", (0, 1, 2, 3)),
        ("tumour.nii.gz", (0, 1, 2, 4)),
        ("tumour.nii.gz", (0, 255)),
    ],
)
def test_the_editors_own_labels(name, values):
    refuse_other_labels(Path(name), values, regions=True)


def test_one_label_is_a_plain_mask_unless_it_is_read_as_core():
    path = Path("BraTS-PED-00001-000-seg.nii.gz")
    refuse_other_labels(path, (0, 1))
    refuse_other_labels(path, (0, 255))
    with pytest.raises(InputError, match="paediatric"):
        refuse_other_labels(path, (0, 1), regions=True)


@pytest.mark.parametrize(
    "values, name, warned",
    [
        ((0, 1, 2, 4), None, True),
        ((0, 1, 2, 4), "tumour.nii.gz", True),
        ((0, 1, 2, 4), "UPENN-GBM-00001_11_segm.nii.gz", True),
        ((0, 1, 2, 4), "BraTS2021_00000_seg.nii.gz", False),
        ((0, 1, 2, 4), "BraTS20_Training_001_seg.nii", False),
        ((0, 1, 2, 4), "Brats18_CBICA_AAB_1_seg.nii.gz", False),
        ((0, 1, 2, 3), None, False),
        ((0, 1), "tumour.nii.gz", False),
    ],
)
def test_label_4_of_an_unknown_release(values, name, warned):
    sentence = ambiguous_label_4(values, name and Path(name))
    assert bool(sentence) is warned
    if warned:
        assert sentence.startswith("label 4 was read as enhancing tumour, as in BraTS up to 2021; in BraTS 2024")
