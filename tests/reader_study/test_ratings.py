# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What raters sent, held against the key."""

from __future__ import annotations

import csv
import hashlib
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
        (lambda c: c.update(key_sha256=None), "has the key_sha256 None, wanted a text"),
        (lambda c: c.update(key_sha256=["a"]), "has the key_sha256 ['a'], wanted a text"),
        (lambda c: c.update(study=7), "has the study 7, wanted a text"),
        (lambda c: c.update(rater=None), "has the rater None, wanted a text"),
        (lambda c: c.update(rater={}), "has the rater {}, wanted a text"),
        (lambda c: c.update(ratings=None), "has the ratings None, wanted a list"),
        (lambda c: c.update(ratings={"a": 1}), "has the ratings {'a': 1}, wanted a list"),
        (lambda c: c["ratings"].append("a"), "has the rating 'a', wanted an object"),
        (lambda c: c["ratings"][0].update(item=None), "has the item None, wanted a text"),
        (lambda c: c["ratings"][0].update(scale=[]), "has the scale [], wanted a text"),
        (lambda c: c["ratings"][0].update(value=None), "= None, which the design does not allow"),
        (lambda c: c["ratings"][0].update(value=[1]), "= [1], which the design does not allow"),
        (lambda c: c["ratings"][0].pop("value"), "is no file of ratings (KeyError('value'))"),
        (lambda c: c.pop("key_sha256"), "is no file of ratings (KeyError('key_sha256'))"),
        (lambda c: c.update(simulated="false"), "has the simulated 'false', wanted true or false"),
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


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("study"),
        lambda c: c.update(items=None),
        lambda c: c["items"][0].pop("stage"),
        lambda c: c["items"].append(3),
        lambda c: c.update(images=4),
        lambda c: c.update(design=None),
    ],
)
def test_a_key_that_is_none_though_its_digest_fits(made, tmp_path, change):
    shutil.copytree(made, tmp_path / "study")
    changed(tmp_path / "study/key.json", change)
    digest = hashlib.sha256((tmp_path / "study/key.json").read_bytes()).hexdigest()
    (tmp_path / "study/key.json.sha256").write_text(f"{digest}  key.json\n")
    with pytest.raises(InputError, match="key.json: "):
        read_study(tmp_path / "study")
    (tmp_path / "study/key.json.sha256").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="restore both files"):
        read_study(tmp_path / "study")
