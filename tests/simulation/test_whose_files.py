# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whose a file is, for every verb that makes data: somebody's, our own, or an input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from simulation.verbs import FILES, FOLDERS, VERBS, content, place_of, refused, run, write_inputs

from mededit_monai.io.outputs import MARKER, written_files


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def cohort(inputs, tmp_path_factory) -> Path:
    """Of ``simulate``, for ``pairs``."""
    return run("simulate", inputs, tmp_path_factory.mktemp("cohort") / "c").datalist.parent


# --- somebody's files ------------------------------------------------------------------------------------------------


@pytest.mark.one_in(2)
@pytest.mark.parametrize("verb", VERBS)
def test_a_foreign_file_in_the_way_survives(inputs, cohort, tmp_path, verb):
    for number, place in enumerate(place_of(verb, Path())):
        out = tmp_path / str(number)
        (out / place).parent.mkdir(parents=True)
        (out / place).write_bytes(b"mine")
        sentence = refused("choose another", verb, inputs, out, cohort)
        assert "was not written by mededit" in sentence or "is not empty and holds no" in sentence
        assert content(out) == {str(place): b"mine"}


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_file_in_place_of_the_folder(inputs, tmp_path, verb):
    (tmp_path / "out").write_bytes(b"mine")
    refused("is a file, wanted a folder", verb, inputs, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"mine"


@pytest.mark.parametrize("verb", FILES)
def test_a_folder_in_place_of_the_file(inputs, cohort, tmp_path, verb):
    (tmp_path / FILES[verb]).mkdir()
    refused("is a folder, wanted the name of a", verb, inputs, tmp_path, cohort)


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_foreign_file_among_ours_stays(inputs, tmp_path, verb):
    out = tmp_path / "out"
    run(verb, inputs, out)
    (out / "notes.txt").write_bytes(b"mine")
    run(verb, inputs, out)
    assert (out / "notes.txt").read_bytes() == b"mine" and "notes.txt" not in written_files(out)


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_list_that_was_changed_by_hand_survives(inputs, tmp_path, verb):
    out = tmp_path / "out"
    run(verb, inputs, out)
    changed = json.dumps(json.loads((out / "datalist.json").read_text()) | {"mine": 1}).encode()
    (out / "datalist.json").write_bytes(changed)
    before = content(out)
    refused("datalist.json: was changed after mededit wrote it", verb, inputs, out)
    assert content(out) == before


def test_a_prepared_case_that_was_changed_by_hand_survives(inputs, tmp_path):
    out = tmp_path / "out"
    run("dataset", inputs, out)
    before = content(out)
    mask = out / "cases/sub-r001s001_z004/pathology.nii"
    image = nib.load(mask)
    nib.save(nib.Nifti1Image(np.ones(image.shape, np.uint8), image.affine), mask)
    changed = content(out)
    refused("pathology.nii: was changed after mededit wrote it", "dataset", inputs, out)
    assert content(out) == changed != before
    run("dataset", inputs, out, overwrite=True)
    assert content(out) == before
    (mask.parent / "notes.txt").write_bytes(b"mine")
    mask.write_bytes(mask.read_bytes()[:500])  # cut short: no one's work, so it would be made again
    refused("notes.txt: was not written by mededit and would have to go", "dataset", inputs, out)
    assert (mask.parent / "notes.txt").read_bytes() == b"mine"


def test_a_simulated_case_that_was_changed_by_hand_survives(inputs, tmp_path):
    out = tmp_path / "out"
    run("simulate", inputs, out)
    before = content(out)
    mask, image = out / "training_00000/pathology.nii", out / "training_00000/image.nii"
    nib.save(nib.Nifti1Image(np.ones((128, 128, 1), np.uint8), nib.load(mask).affine), mask)
    mine = mask.read_bytes()
    image.write_bytes(image.read_bytes()[:5000])
    written = run("simulate", inputs, out)
    assert (written.made, written.found) == (1, 2) and mask.read_bytes() == mine
    assert content(out) | {"training_00000/pathology.nii": b""} == before | {"training_00000/pathology.nii": b""}


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_folder_of_an_older_version_is_left_alone(inputs, tmp_path, verb):
    out = tmp_path / "out"
    run(verb, inputs, out)
    (out / MARKER).unlink()
    before = content(out)
    refused("older version, which did not list its files", verb, inputs, out)
    assert content(out) == before


# --- our own ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_run_again_changes_nothing(inputs, cohort, tmp_path, verb):
    first = run(verb, inputs, tmp_path / "out", cohort)
    before = content(tmp_path / "out")
    again = run(verb, inputs, tmp_path / "out", cohort)
    assert content(tmp_path / "out") == before
    assert (again.made, again.found) == (0, first.made) if verb in FOLDERS else again == first


@pytest.mark.one_in(4)
@pytest.mark.parametrize("verb", FOLDERS)
@pytest.mark.parametrize("damage", ["gone", "empty", "cut short", "header alone", "zeros"])
def test_what_is_damaged_is_made_again(inputs, tmp_path, verb, damage):
    out = tmp_path / "out"
    run(verb, inputs, out)
    before, place = content(out), out / FOLDERS[verb][0]
    size = place.stat().st_size
    if damage == "gone":
        place.unlink()
    else:
        kept = {"empty": b"", "cut short": place.read_bytes()[: size // 2], "header alone": place.read_bytes()[:352]}
        place.write_bytes(kept.get(damage, bytes(size)))
    assert run(verb, inputs, out).made == 1 and content(out) == before


def test_a_compressed_case_with_a_flipped_bit_is_made_again(inputs, tmp_path):
    out = tmp_path / "out"
    run("simulate", inputs, out, layout="bids")
    before = content(out)
    name = next(name for name in before if name.endswith("_T1w.nii.gz"))
    flipped = bytearray(before[name])
    flipped[-6] ^= 1  # in the checksum
    (out / name).write_bytes(flipped)
    assert run("simulate", inputs, out, layout="bids").made == 1 and content(out) == before


@pytest.mark.parametrize("verb, other", [("lesion", {"seed": 5}), ("pairs", {"seed": 5})])
def test_our_own_file_with_other_content(inputs, cohort, tmp_path, verb, other):
    run(verb, inputs, tmp_path, cohort)
    before = content(tmp_path)
    refused("other content; choose another name, or give --overwrite", verb, inputs, tmp_path, cohort, **other)
    assert content(tmp_path) == before
    run(verb, inputs, tmp_path, cohort, overwrite=True, **other)
    assert content(tmp_path)[FILES[verb]] != before[FILES[verb]]


def test_names_of_a_cohort_are_listed_before_the_first_case(inputs, tmp_path, monkeypatch):
    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("mededit_monai.simulation.simulate.draw_case", stopped)
    with pytest.raises(KeyboardInterrupt):
        run("simulate", inputs, tmp_path / "out")
    listed = written_files(tmp_path / "out")
    assert {"cohort.json", "datalist.json", "training_00000/image.nii", "testing_00000/parameters.json"} <= set(listed)


# --- inputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb, options, words",
    [
        ("lesion", {"output": "{i}/head/scan.nii.gz"}, "would be written over the input"),
        ("lesion", {"output": "{i}/head/link.nii.gz"}, "would be written over the input"),
        ("lesion", {"output": "{i}/head/brain.nii.gz", "brain": "{i}/head/brain.nii.gz"}, "would be written over the"),
        ("pairs", {"output": "{c}/datalist.json"}, "would be written over the input"),
        ("pairs", {"output": "{c}/testing_00000/image.nii"}, "would be written over the input"),
    ],
)
def test_a_file_that_is_an_input(inputs, cohort, tmp_path, verb, options, words):
    shutil.copytree(inputs, tmp_path / "i")
    shutil.copytree(cohort, tmp_path / "c")
    (tmp_path / "i/head/link.nii.gz").symlink_to(tmp_path / "i/head/scan.nii.gz")
    before = content(tmp_path)
    places = {"i": tmp_path / "i", "c": tmp_path / "c"}
    refused(
        words, verb, tmp_path / "i", tmp_path, tmp_path / "c", **{k: v.format(**places) for k, v in options.items()}
    )
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "verb, out, words",
    [
        ("simulate", "i/anatomies", "would be written over the input"),
        ("simulate", "i", "would be written over the input"),
        ("simulate", "link", "would be written over the input"),
        ("simulate", "i/lesions", "would be written over the input"),
        ("simulate", "i/lesions/deep/cohort", "lies inside --lesions"),
        ("dataset", "i/atlas", "would be written over the input"),
        ("dataset", "i", "would be written over the input"),
        ("dataset", "i/atlas/prepared", "lies inside the data set"),
        ("dataset", "link/prepared", "lies inside the data set"),
        ("dataset", "i/brains", "would be written over the input"),
    ],
)
def test_a_folder_among_the_inputs(inputs, tmp_path, verb, out, words):
    shutil.copytree(inputs, tmp_path / "i")
    (tmp_path / "i/brains").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "i" / ("anatomies" if verb == "simulate" else "atlas"))
    options = {"lesions": f"{tmp_path}/i/lesions"} if verb == "simulate" else {"brains": f"{tmp_path}/i/brains"}
    before = content(tmp_path)
    refused(words, verb, tmp_path / "i", tmp_path / out, **options)
    assert content(tmp_path) == before and not (tmp_path / "i/atlas/prepared").exists()


def test_a_folder_of_anatomies_may_hold_the_cohort(inputs, tmp_path):
    """Anatomies are looked for in the folder itself, not below: ``--anatomies . -o cohort`` is safe."""
    shutil.copytree(inputs / "anatomies", tmp_path / "a")
    run("simulate", inputs, tmp_path / "a/cohort", anatomies=str(tmp_path / "a"))
    assert run("simulate", inputs, tmp_path / "a/cohort", anatomies=str(tmp_path / "a")).found == 3
