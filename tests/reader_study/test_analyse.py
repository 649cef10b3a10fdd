# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The analysis finds what was put in, and says it in its files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from reader_study.toy import ARMS, DESIGN, YES_NO
from reports.small_evaluation import write_evaluation

from mededit_monai.core.errors import InputError
from mededit_monai.reader_study import rehearse as rehearsal
from mededit_monai.reader_study.analyse import analyse, results_of
from mededit_monai.reader_study.design import design_content, design_of
from mededit_monai.reader_study.measured import measured_columns
from mededit_monai.reader_study.ratings import Rating, RatingFile, Study, read_study
from mededit_monai.reader_study.report import FILES


def study(images: int, same_cases: bool = False, repeats: int = 0) -> Study:
    """A study without pictures, with so many images of each of three arms; whether they are real is asked, too."""
    scale = {"question": "?", "values": YES_NO, "asks_real": True}
    asked = DESIGN["stages"][0]["scales"] | {"origin": scale}
    stages = [DESIGN["stages"][0] | {"scales": asked}, DESIGN["stages"][1]]
    changes = {"images": images, "same_cases": same_cases, "repeats": repeats, "stages": stages}
    design = design_of(DESIGN | changes, "design")
    known = [
        {"arm": arm, "case": f"c{k if same_cases else k + n * images}", "group": f"g{k}", "stratum": "small"}
        for n, arm in enumerate(ARMS)
        for k in range(images)
    ]
    items = [
        {"code": f"{number}-{k}-{repeat}", "stage": number, "image": k, "repeat": bool(repeat)}
        for number, stage in enumerate(design.stages)
        for repeat in (0, 1)
        for k, image in enumerate(known)
        if image["arm"] in stage.arms and (not repeat or k < repeats)
    ]
    content = {
        "study": "toy",
        "design": json.loads(json.dumps(design_content(design))),
        "images": known,
        "items": items,
    }
    return Study(Path("toy"), content, "digest")


def simulated(known: Study, skill: dict[str, float], seed: int = 0) -> list[RatingFile]:
    lines = rehearsal.simulated_ratings(known, skill, seed)
    return [
        RatingFile(
            Path("toy.json"), "toy", "digest", name, tuple(Rating(r["item"], r["scale"], r["value"]) for r in own), True
        )
        for name, own in lines.items()
    ]


@pytest.mark.slow
def test_means_and_agreement_of_raters_of_known_skill():
    """Many images, so that chance is small: means of s q + (1 - s) q̄, kappa of s₁ s₂ and s²."""
    known = study(150, repeats=450)
    found = results_of(known, simulated(known, {"anna": 0.9, "ben": 0.6}))
    wanted = [rehearsal.expected(known, skill, 0)["means"] for skill in (0.9, 0.6)]
    for scale, arms in found["means"].items():
        for arm, one in arms.items():
            assert one["by_rater"]["anna"] == pytest.approx(wanted[0][scale][arm], abs=0.1)
            assert one["by_rater"]["ben"] == pytest.approx(wanted[1][scale][arm], abs=0.15)
            assert one["low"] < (wanted[0][scale][arm] + wanted[1][scale][arm]) / 2 < one["high"] or scale == "origin"
    kappa = {(line["scale"], *line["raters"]): line["kappa"] for line in found["agreement"]}
    for scale in ("realism", "origin", "fidelity"):
        for raters, value in ((("anna",), 0.81), (("ben",), 0.36), (("anna", "ben"), 0.54)):
            assert kappa[(scale, *raters)] == pytest.approx(value, abs=0.11), (scale, raters)
    right = {line["rater"]: line["right"] for line in found["detection"]}
    assert right["anna"] == pytest.approx(0.95, abs=0.04) and right["ben"] == pytest.approx(0.8, abs=0.06)


@pytest.mark.slow
def test_raters_who_guess_find_nothing():
    """Of three questions one may look like a difference at 5 % by chance; at 1 % none does."""
    found = results_of(known := study(60), simulated(known, {"anna": 0.0, "ben": 0.0}, seed=1))
    assert min(line["p_holm"] for line in found["comparisons"]) > 0.01
    assert all(abs(line["kappa"]) < 0.25 for line in found["agreement"])
    assert all(line["low"] < 0.5 < line["high"] for line in found["detection"])


def test_differences_that_are_there_are_found():
    found = results_of(known := study(60), simulated(known, {"anna": 0.9, "ben": 0.9}))
    pair = {(line["scale"], line["arm"], line["against"]): line for line in found["comparisons"]}
    line = pair["realism", "real", "smooth"]  # published 3.2 and 1.0
    assert (
        line["p_holm"] < 0.01 and line["low"] < 0.9 * 2.2 < line["high"] and found["any_difference"]["realism"] < 0.01
    )


def hand(known: Study, rater: str, value) -> RatingFile:
    """A rater who says of every item what a function says of its stage, scale, image and whether it is a repeat."""
    ratings = [
        Rating(code, scale, value(scale, item.image, item.repeat))
        for code, item in known.items.items()
        for scale in known.scales(code)
    ]
    return RatingFile(Path("toy.json"), "toy", "digest", rater, tuple(ratings))


def test_numbers_by_hand():
    """Two images of each arm on the same cases; ben says one more than anna, and repeats change nothing but kappa."""
    known = study(2, same_cases=True, repeats=2)
    said = {"realism": [3, 4, 0, 2, 1, 1], "origin": [1, 0, 0, 0, 0, 1], "fidelity": [0, 0, 1, 2, 3, 2]}
    anna = hand(known, "anna", lambda scale, k, again: said[scale][k] - (again and scale == "realism"))
    ben = hand(
        known, "ben", lambda scale, k, again: said[scale][k] if scale == "origin" else min(4, said[scale][k] + 1)
    )
    found = results_of(known, [anna, ben])
    realism = found["means"]["realism"]
    assert [realism[arm]["value"] for arm in ARMS] == [3.75, 1.5, 1.5]
    assert realism["real"]["by_rater"] == {"anna": 3.5, "ben": 4.0} and realism["real"]["counts"] == [0, 0, 0, 1, 3]
    assert realism["real"]["published"] == 3.2 and set(found["means"]["fidelity"]) == {"smooth", "rough"}
    pair = next(c for c in found["comparisons"] if (c["scale"], c["arm"], c["against"]) == ("realism", "real", "rough"))
    assert pair["difference"] == 2.25 and pair["p"] == pytest.approx(0.5, abs=0.03)  # 2 of the 4 ways to deal two cases
    right = {line["rater"]: line for line in found["detection"]}["anna"]
    assert right["right"] == (1 / 2 + 3 / 4) / 2
    assert (right["real_called_real"], right["synthetic_called_real"]) == (0.5, 0.25)
    within = next(c for c in found["agreement"] if c["raters"] == ["anna"] and c["scale"] == "realism")
    assert within["same"] == 0 and within["kappa"] == pytest.approx(1 - 1 / (0.25 + 0.25 + 1))
    rows = np.array([[3, 4, 0, 2, 1, 1], [4, 4, 1, 3, 2, 2]])
    gaps = [rows[:, a : a + 2] - rows[:, b : b + 2] for a, b in ((0, 2), (0, 4), (2, 4))]
    rest = [((g - g.mean(0) - g.mean(1, keepdims=True) + g.mean()) ** 2).sum() for g in gaps]
    images = [max(0, g.mean(0).var(ddof=1) - r / 2) for g, r in zip(gaps, rest)]
    line = next(one for one in found["next"] if one["scale"] == "realism" and one["raters"] == 5)
    assert line["paired"] and line["spread"] == pytest.approx(np.sqrt(np.mean(images) + np.mean(rest) / 5))


def test_the_whole_table_of_the_thesis(tmp_path):
    """What an evaluation measured stands beside the readers' columns, each with what was published."""
    write_evaluation(tmp_path)
    changes = {"arms": {"real": {"real": True}, "sdedit": {}, "mededit": {"label": "MedEdit"}}}
    design = design_of(DESIGN | changes | {"stages": [DESIGN["stages"][0]]}, "design")
    found = measured_columns(tmp_path, design)
    assert found["table"] == "5.1" and [column["key"] for column in found["columns"]] == ["fid", "dice"]
    assert found["arms"]["mededit"]["fid"] == {"value": 8.3, "low": 8.0, "high": 8.5, "published": 8.3}
    assert found["arms"]["sdedit"]["dice"] == {"value": 0.6, "low": 0.55, "high": 0.66, "published": None}
    with pytest.raises(InputError, match="has no table with a row for each of gan"):
        measured_columns(tmp_path, design_of(DESIGN | {"arms": {"gan": {}}, "stages": [DESIGN["stages"][0]]}, "design"))


@pytest.mark.slow
def test_files(made, tmp_path):
    sent = rehearsal.rehearse(made, tmp_path / "sent", skill=0.9)
    content = analyse(sent, made, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, ".mededit.json"}
    page = (tmp_path / "out" / "report.html").read_text()
    for words in ("Toy &lt;study&gt;", "The raters are simulated", "publ.", "Some of the images are synthetic", "3.20"):
        assert words in page, words
    assert "<study>" not in page and "http" not in page.replace("http-equiv", "")
    assert content["summary"].startswith("2 simulated raters")
    with open(tmp_path / "out" / "means.csv") as stream:
        lines = {(line["scale"], line["arm"]): line for line in csv.DictReader(stream)}
    told = content["means"]["fidelity"]["rough"]
    assert float(lines["fidelity", "rough"]["value"]) == pytest.approx(told["value"])
    assert lines["fidelity", "rough"]["published"] == "2" and lines["realism", "rough"]["by_ben"]
    table = (tmp_path / "out" / "table.md").read_text()
    assert f"| Rough | {content['means']['realism']['rough']['value']:.2f} (" in table and "| 2.40 |" in table
    kept = json.loads((tmp_path / "out" / "results.json").read_bytes())
    assert kept["simulated_raters"] and kept["study"] == read_study(made).name
    analyse(sent[:1], made, tmp_path / "one")
    one = (tmp_path / "one" / "report.html").read_text()
    assert "Not in this analysis: ben." in one and "Means of each rater" not in one
