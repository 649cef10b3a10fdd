# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Designs as their files say, the shipped ones among them."""

from __future__ import annotations

import json

import pytest
from reader_study.toy import DESIGN, FIVE, write_design

from mededit_monai.core.errors import InputError
from mededit_monai.reader_study.design import design_content, design_file, design_of, designs, read_design


def test_the_thesis_protocol(repository):
    import yaml

    design = read_design(design_file("thesis"))
    assert [arm.name for arm in design.arms if arm.real] == ["real"] and len(design.arms) * design.images == 100
    assert design.strata == "proportional" and [stage.shows for stage in design.stages] == [
        ("image",),
        ("image", "prior", "mask"),
    ]
    assert design.stages[1].arms == ("sdedit", "palette", "naive_repaint", "mededit")
    assert list(design.scales) == ["realism", "fidelity", "adherence", "indirect"]
    assert all(list(scale.values) == [0, 1, 2, 3, 4] for scale in design.scales.values())
    table = yaml.safe_load((repository / "configs/tables/table_5_1.yaml").read_bytes())["rows"]
    for arm in design.arms[1:]:
        published = table[arm.name]["published"]
        assert dict(arm.published) == {name: published[name] for name in design.scales}


def test_the_med_ddpm_protocol():
    design = read_design(designs()["med_ddpm"])
    assert design.dims == 3 and design.repeats == 10 and len(design.raters) == 2
    assert [name for name, scale in design.scales.items() if scale.asks_real] == ["real"]


def test_a_design_comes_back_from_a_key(tmp_path):
    design = read_design(write_design(tmp_path))
    assert design_of(json.loads(json.dumps(design_content(design))), "key.json") == design
    assert design.changed(images=2, raters=["zoe"]).raters == ("zoe",)


STAGE = DESIGN["stages"][0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arms": None}, "lacks the entry 'arms'"),
        ({"colour": "red"}, "has the entry 'colour'"),
        ({"dims": 4}, "its dims is 4; wanted 2 or 3"),
        ({"dims": 2.0}, "its dims is 2.0; wanted 2 or 3"),
        ({"images": 0}, "its images is 0"),
        ({"images": True}, "its images is True"),
        ({"strata": "some"}, "wanted proportional, equal, none"),
        ({"raters": ["a", "a"]}, "wanted every rater once"),
        ({"raters": ["a/b"]}, "has the rater 'a/b'"),
        ({"arms": {"../x": {}}}, "has the arm '../x'"),
        ({"arms": {"real": {"published": {"beauty": 1}}}, "stages": [STAGE]}, "has published 'beauty'"),
        *(
            ({"arms": {"real": {"published": {"realism": odd}}}, "stages": [STAGE]}, "of scales to finite numbers")
            for odd in (float("nan"), float("inf"), 10**400, True, "3")
        ),
        ({"stages": [STAGE, STAGE]}, "asks for 'realism' twice"),
        ({"stages": [STAGE | {"shows": ["prior"]}]}, "its shows is ['prior']"),
        ({"stages": [STAGE | {"shows": ["image", ["prior"]]}]}, "its shows is ['image', ['prior']]"),
        ({"stages": [STAGE | {"arms": ["gan"]}]}, "its arms is ['gan']"),
        ({"stages": [STAGE | {"arms": [{"a": 1}]}]}, "its arms is [{'a': 1}]"),
        ({"arms": [{"a": 1}]}, "its arms is [{'a': 1}]"),
        ({"stages": [STAGE | {"scales": {"x": {"question": "?", "values": {0: "no"}}}}]}, "its values of 'x'"),
        ({"stages": [STAGE | {"scales": {"x": {"question": "?", "values": {0: "no", 11: "yes"}}}}]}, "its values of"),
        (
            {"stages": [STAGE | {"scales": {"x": {"question": "?", "values": FIVE, "asks_real": True}}}]},
            "wanted 0 (synthetic) and 1 (real)",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, changes, words):
    path = write_design(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        read_design(path)
    assert words in str(caught.value) and str(path) in str(caught.value)


def test_a_question_that_yaml_does_not_take_as_a_text(tmp_path):
    """A question mark within braces has to stand in quotation marks: the sentence says in which line it does not."""
    path = write_design(tmp_path)
    path.write_text("name: a\nstages:\n- {question: Is it real?, values: {0: no}}\n")
    with pytest.raises(InputError, match=r"toy.yaml: is not valid YAML \(line 3: .+\); mend it.$"):
        read_design(path)


def test_a_name_that_is_nearly_right():
    with pytest.raises(InputError, match="did you mean 'thesis'"):
        design_file("theses")
