# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A study as it is written: the page, the key, and what the page must not say."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import nibabel as nib
import numpy as np
import pytest
import yaml
from image_files import write_dicom
from promises.verbs import tree
from reader_study.toy import ARMS, DESIGN, VOLUME, parts_of, write_design, write_images

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.registry import image_sha256
from mededit_monai.io.outputs import written_files
from mededit_monai.reader_study.design import read_design
from mededit_monai.reader_study.make import FILES, make_study


def test_page_and_key_belong_together(made):
    key, (facts, pictures) = json.loads((made / "key.json").read_bytes()), parts_of(made / "rating.html")
    digest = hashlib.sha256((made / "key.json").read_bytes()).hexdigest()
    assert facts["study"] == key["study"] and facts["key_sha256"] == digest
    assert (made / "key.json.sha256").read_text() == f"{digest}  key.json\n"
    codes = [item["code"] for item in key["items"]]
    assert sorted(pictures) == sorted(codes) and facts["orders"] == key["orders"]
    shows = [set(stage["shows"]) for stage in DESIGN["stages"]]
    assert all(set(pictures[item["code"]]) == shows[item["stage"]] for item in key["items"])
    assert read_design(made / "design.yaml").arm("rough").label == "Rough"
    image = key["images"][0]
    path = made / image["files"]["image"]["path"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == image["files"]["image"]["sha256"]
    assert [one["synthetic"] for one in key["images"]] == [one["arm"] != "real" for one in key["images"]]


def test_the_page_names_neither_arms_nor_cases_nor_files(made):
    text = (made / "rating.html").read_text()
    facts, pictures = parts_of(made / "rating.html")
    told = json.dumps(facts) + " ".join(pictures)
    for word in (
        '"real"',
        "smooth",
        "rough",
        "Smooth",
        "Rough",
        "scans",
        "person_",
        ".nii",
        "published",
        "3.2",
        "seed",
    ):
        assert word not in told, word
    assert "person_" not in text and ".nii" not in text and "images.csv" not in text
    files = [base64.b64decode(png) for parts in pictures.values() for pngs in parts.values() for png in pngs]
    assert all(file.startswith(b"\x89PNG") and b"tEXt" not in file and b"eXIf" not in file for file in files)


def test_the_page_asks_no_other_machine(made):
    text = (made / "rating.html").read_text()
    assert "default-src 'none'" in text and not re.search(r"https?:|//cdn|@import|<link|src=\"(?!data:)", text)
    assert "Some of these images are synthetic" in text


def test_texts_of_a_design_are_texts(tmp_path):
    evil = "</script><script>alert(1)</script>"
    make_study(write_design(tmp_path, title=evil), tmp_path / "out", images=write_images(tmp_path / "images"))
    text = (tmp_path / "out" / "rating.html").read_text()
    assert "<script>alert" not in text and parts_of(tmp_path / "out" / "rating.html")[0]["title"] == evil


def test_the_same_seed_gives_the_same_bytes(made, tmp_path):
    root = made.parent
    again = root / "again"
    make_study(root / "toy.yaml", again, images=root / "images/images.csv", seed=5)
    assert {name: (again / name).read_bytes() for name in FILES} == {name: (made / name).read_bytes() for name in FILES}
    make_study(root / "toy.yaml", root / "other", images=root / "images/images.csv", seed=6)
    assert (root / "other/key.json").read_bytes() != (made / "key.json").read_bytes()


def test_a_study_is_never_replaced_by_another(made):
    root, before = made.parent, tree(made)
    with pytest.raises(InputError, match="is the key of another study"):
        make_study(root / "toy.yaml", made, images=root / "images/images.csv", seed=7)
    assert tree(made) == before
    make_study(root / "toy.yaml", made, images=root / "images/images.csv", seed=5)  # the same study is no change
    assert tree(made) == before


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (("key.json",), "key.json.sha256: is the checksum of the key of another study"),
        (("key.json", "key.json.sha256"), "rating.html: is the page of another study"),
    ],
)
def test_nor_where_its_key_was_taken_away(tmp_path, away, words):
    """As it is told to: the raters must not see it."""
    design, images, out = write_design(tmp_path), write_images(tmp_path / "images"), tmp_path / "out"
    make_study(design, out, images=images, seed=5)
    key = (out / "key.json").read_bytes()
    for name in away:
        (out / name).unlink()
    before = {name: (out / name).read_bytes() for name in FILES if name not in away}
    with pytest.raises(InputError, match=words):
        make_study(design, out, images=images, seed=7)
    assert before == {path.name: path.read_bytes() for path in out.iterdir() if path.name != ".mededit.json"}
    make_study(design, out, images=images, seed=5)  # of the same study the key comes back
    assert (out / "key.json").read_bytes() == key and sorted(written_files(out)) == sorted(FILES)


def test_a_scan_that_is_a_folder_of_dicom(tmp_path):
    table = write_images(tmp_path / "images", 4, VOLUME)
    for arm in ARMS:
        image = nib.load(table.parent / f"{arm}_0_image.nii")
        write_dicom(table.parent / f"{arm}_0_image", np.asarray(image.dataobj).astype(np.int16), image.affine)
    table.write_text(table.read_text().replace("_0_image.nii", "_0_image"))
    stages, arms = [DESIGN["stages"][0]], {name: {} for name in ARMS}
    design = write_design(tmp_path, dims=3, slices=4, strata="none", stages=stages, arms=arms, repeats=0)
    make_study(design, tmp_path / "out", images=table)
    images = json.loads((tmp_path / "out" / "key.json").read_bytes())["images"]
    told = {one["files"]["image"]["sha256"] for one in images if one["case"] == "person_0"}
    assert told == {image_sha256(table.parent / f"{arm}_0_image") for arm in ARMS}


def test_volumes(tmp_path):
    stages = [DESIGN["stages"][0]]
    arms = {name: {} for name in ARMS}
    design = write_design(tmp_path, dims=3, slices=4, strata="none", stages=stages, arms=arms, repeats=0)
    facts = make_study(design, tmp_path / "out", images=write_images(tmp_path / "i", 4, VOLUME), raters=["zoe"])
    told, pictures = parts_of(tmp_path / "out" / "rating.html")
    assert facts["images"] == 12 and facts["raters"] == ["zoe"] and list(told["orders"]) == ["zoe"]
    assert [plane["slices"] for plane in told["planes"]] == [4, 4, 4]
    assert len({tuple(map(len, one["image"])) for one in pictures.values()}) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "got neither"),
        ({"images": "a.csv", "evaluation": "b"}, "got both"),
        ({"images": "none.csv"}, "not found"),
        ({"images": "none.csv", "cohort": "c"}, "go with --evaluation"),
        ({"images": "none.csv", "per_arm": 0}, "--per_arm: got 0"),
        ({"images": "none.csv", "raters": ["a", "a"]}, "every rater once"),
        ({"images": "none.csv", "seed": -1}, "--seed: got -1"),
        ({"evaluation": "b", "pairing": "both"}, "--pairing: got 'both'"),
    ],
)
def test_what_is_asked_wrongly(tmp_path, monkeypatch, given, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        make_study("thesis", "out", **given)
    assert not (tmp_path / "out").exists()


def test_the_shipped_designs_go_through_yaml(made):
    content = yaml.safe_load((made / "design.yaml").read_bytes())
    assert list(content["arms"]) == list(ARMS) and content["raters"] == ["anna", "ben"]
