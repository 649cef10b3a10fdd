# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What raters sent, held against the key."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.reader_study.ratings import check_ratings, read_ratings, read_study
from mededit_monai.reader_study.rehearse import rehearse


@pytest.fixture()
def sent(made, tmp_path):
    """Files of both raters."""
    return rehearse(made, tmp_path / "sent", skill=0.9, seed=1)


def changed(path, change):
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_complete_files(made, sent):
    found = check_ratings(sent, made)
    assert found["raters"] == {"anna": 15 + 11, "ben": 15 + 11} and found["missing"] == [] and found["simulated"]
    assert check_ratings(sent[:1], made)["missing"] == ["ben"]


def test_a_csv_file_says_the_same(made, sent, tmp_path):
    content = json.loads(sent[0].read_bytes())
    heads = ["study", "key_sha256", "rater", "simulated", "stage", "place", "item", "scale", "value", "at"]
    for name, simulated in (("anna", "true"), ("person", "false")):
        known = {key: content[key] for key in heads[:3]} | {"simulated": simulated}
        with open(tmp_path / f"{name}.csv", "w", newline="") as stream:
            writer = csv.DictWriter(stream, heads, restval="0", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(known | row for row in content["ratings"])
    assert read_ratings(tmp_path / "anna.csv").ratings == read_ratings(sent[0]).ratings
    assert read_ratings(tmp_path / "anna.csv").simulated and not read_ratings(tmp_path / "person.csv").simulated
    assert check_ratings([tmp_path / "anna.csv", sent[1]], made)["raters"] == {"anna": 26, "ben": 26}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["ratings"].pop(3), "lacks "),
        (lambda c: c.update(ratings=[]), " and 23 more; let 'ben' open the page again"),
        (lambda c: c["ratings"][0].update(item="XXXXXX"), "lacks "),
        (lambda c: c["ratings"].append({"item": "XXXXXX", "scale": "realism", "value": 1}), "rates XXXXXX"),
        (lambda c: c["ratings"].append(c["ratings"][0]), "more than once"),
        (lambda c: c["ratings"][0].update(value=5), "= 5, which the design does not allow"),
        (lambda c: c["ratings"][0].update(value=True), "= True, which the design does not allow"),
        (lambda c: c["ratings"][0].update(scale="beauty"), "lacks "),
        (lambda c: c.update(rater="zoe"), "is by 'zoe', wanted one of the study's raters, anna, ben"),
        (lambda c: c.update(rater="anna"), "is by 'anna', as "),
        (lambda c: c.update(key_sha256="0" * 64), "give the --study that the page was made with"),
        (lambda c: c.update(study="0" * 12), "give the --study that the page was made with"),
        (lambda c: c.update(kind="key"), "is no file of ratings"),
        (lambda c: c.pop("rater"), "is no file of ratings"),
    ],
)
def test_files_that_cannot_be_used(made, sent, change, words):
    changed(sent[1], change)
    with pytest.raises(InputError) as caught:
        check_ratings(sent, made)
    assert words in str(caught.value) and str(sent[1]) in str(caught.value)


def test_a_sentence_for_each_problem(made, sent, capsys):
    changed(sent[0], lambda c: c["ratings"].pop())
    changed(sent[1], lambda c: (c["ratings"].pop(), c["ratings"].append(c["ratings"][0])))
    with pytest.raises(InputError, match="lacks"):
        check_ratings([*sent, "none.json"], made)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and "none.json: not found" in said[0] and "more than once" in said[2]


def test_a_key_that_was_changed(made, tmp_path):
    shutil.copytree(made, tmp_path / "study")
    changed(tmp_path / "study/key.json", lambda c: c.update(seed=6))
    with pytest.raises(InputError, match="restore both files"):
        read_study(tmp_path / "study")
    with pytest.raises(InputError, match="has no key.json"):
        read_study(tmp_path)
