# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Images that a study can show: of a table and of an evaluation."""

from __future__ import annotations

import pytest
from reader_study.toy import DESIGN, write_design, write_images
from reports.small_evaluation import CASES, write_evaluation

from mededit_monai.core.errors import InputError
from mededit_monai.reader_study.design import design_of, read_design
from mededit_monai.reader_study.images import evaluation_images, table_images, with_strata


@pytest.fixture()
def design(tmp_path):
    return read_design(write_design(tmp_path))


def test_a_table(tmp_path, design):
    found = table_images(write_images(tmp_path / "images"), design)
    assert len(found) == 18 and {one.arm for one in found} == {"real", "smooth", "rough"}
    assert found[0].group == found[0].case == "person_0" and set(found[0].files) == {"image", "prior", "mask"}
    strata = {one.case: one.stratum for one in with_strata(found)}
    assert [strata[f"person_{k}"] for k in (0, 5)] == ["small", "large"] and "medium" in strata.values()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("case,arm", "name,arm", "has no column 'case'"),
        ("person_0,real", "person_0,gan", "line 2 has the arm 'gan'"),
        ("person_1,real", "person_0,real", "line 3 has the case 'person_0' of arm 'real'"),
        ("smooth_0_prior.nii", "", "has no 'prior', which a stage of the design shows"),
        ("real_0_image.nii", "none.nii", "which is not there"),
        ("real_0_image.nii", ".", "which is not there"),
    ],
)
def test_a_table_that_cannot_be(tmp_path, design, old, new, words):
    path = write_images(tmp_path / "images")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=words):
        table_images(path, design)


def of_evaluation(**arms):
    stages = [DESIGN["stages"][0]]
    return design_of(DESIGN | {"arms": {"real": {"real": True}} | arms, "stages": stages}, "design")


def test_an_evaluation(tmp_path):
    write_evaluation(tmp_path)
    found = evaluation_images(tmp_path, of_evaluation(sdedit={}, palette={}))
    by_arm = {arm: [one for one in found if one.arm == arm] for arm in ("real", "sdedit", "palette")}
    assert [one.case for one in by_arm["real"]] == CASES and by_arm["real"][0].files["image"].name == "image.nii"
    assert [one.case for one in by_arm["palette"]] == CASES[1:]  # the first edit is missing
    edit = by_arm["sdedit"][0].files["image"]
    assert edit.parts[-4:] == ("edits", "stroke_mask_sdedit", "thesis", "case_00.npz")
    assert by_arm["sdedit"][0].files["prior"].name == "prior.nii"
    paired = evaluation_images(tmp_path, of_evaluation(mededit={}), pairing="paired")
    assert paired[-1].files["image"].parent.name == "paired"


def test_an_evaluation_without_the_row(tmp_path):
    write_evaluation(tmp_path)
    with pytest.raises(InputError, match="has no row for the arm 'gan'"):
        evaluation_images(tmp_path, of_evaluation(gan={}))
    (tmp_path / "triplets_paired.json").unlink()
    with pytest.raises(InputError, match="--cohort: is missing"):
        evaluation_images(tmp_path, of_evaluation(sdedit={}))
    with pytest.raises(InputError, match="--pairing: got 'paired'"):
        evaluation_images(tmp_path, of_evaluation(sdedit={}), pairing="paired")
