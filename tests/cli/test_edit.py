# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit edit`: what it says, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import write_head
from promises.verbs import mededit, tree  # noqa: F401

import mededit_monai.workflows
from mededit_monai.cli.edit import _line


@pytest.fixture()
def files(tmp_path, monkeypatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    write_head(tmp_path / "head")
    return ("--scan", "head/scan.nii.gz", "--pathology", "head/pathology.nii.gz", "--slice_index", "10", "--steps", "1")


def test_json_is_all_that_a_program_reads(files, mededit):  # noqa: F811
    """At the second run too, where nothing is to do."""
    first = mededit("edit", *files, "--json", "-o", "out")
    assert first.code == 0 and json.loads(first.out) == {"synthetic": True, "written": ["out/scan"]}
    before = tree(Path("out"))
    again = mededit("edit", *files, "--json", "-o", "out")
    assert again.code == 0 and json.loads(again.out) == {"synthetic": True, "written": []}
    assert "scan is done with these options, skipped" in again.err and tree(Path("out")) == before


def test_people_are_told_where_to_look(files, mededit):  # noqa: F811
    first = mededit("edit", *files, "-o", "out")
    assert first.code == 0 and first.out == "out/scan: look at out/scan/preview.png, load out/scan/edited.nii.gz\n"
    assert Path("out/scan/preview.png").is_file() and Path("out/scan/edited.nii.gz").is_file()
    again = mededit("edit", *files, "-o", "out")
    assert again.code == 0 and again.out == "nothing to do: every case is done with these options.\n"
    several = mededit("edit", *files, "--samples", "2", "-o", "two")
    assert several.out == "two/scan: look at two/scan/preview.png, load two/scan/mean.nii.gz\n"
    assert Path("two/scan/mean.nii.gz").is_file()


@pytest.mark.parametrize("samples", [[""], ["0", "1", "10"]], ids=["one", "samples"])
def test_what_to_load_of_a_dataset_is_the_counterfactual(tmp_path, samples):
    """And not what was carried along, whose names sort before it, nor the check of a preparation."""
    for number in samples:
        for own in ("", "QSM", "2"):
            for place in (
                f"anat/sub-1_desc-counterfactual{number}{own}_T1w.nii.gz",
                "figures/sub-1_desc-prepared_T1w.png",
            ):
                (tmp_path / place).parent.mkdir(exist_ok=True)
                (tmp_path / place).touch()
        (tmp_path / f"figures/sub-1_desc-counterfactual{number}_T1w.png").touch()
    name = f"sub-1_desc-counterfactual{samples[0]}_T1w"
    wanted = f"look at {tmp_path}/figures/{name}.png, load {tmp_path}/anat/{name}.nii.gz"
    assert _line(tmp_path) == f"{tmp_path}: {wanted}"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("", {}),
        ("--steps 7 --guidance 2", {"steps": 7, "guidance": 2.0}),
        ("--slice-index 10", {"slice_index": 10}),
        ("--slice-index -3", {"slice_index": -3}),
        ("--slice-index auto", {"slice_index": "auto"}),
        ("--exact --overwrite --bundle tumor", {"exact": True, "overwrite": True, "bundle": "tumor"}),
        ("--effects -0.5 --carry a.nii b.nii --course 5", {"effects": -0.5, "carry": ["a.nii", "b.nii"], "course": 5}),
        ("--progress", {"progress": False}),  # no terminal, no bar
    ],
)
def test_what_is_given_reaches_the_function(words, given, monkeypatch, mededit):  # noqa: F811
    """Nothing else does: every other default is the bundle's."""
    asked: dict = {}
    monkeypatch.setattr(mededit_monai.workflows, "edit", lambda **options: asked.update(options) or [])
    assert mededit("edit", *words.split()).code == 0
    flags = dict.fromkeys(("strict", "overwrite", "html", "exact", "progress"), False) | {"keep_going": True}
    assert asked == {"output_dir": "out/edits", "bundle": "stroke", **flags} | given


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--slice_index some", "--slice_index: got 'some', wanted a whole number or 'auto' or 'all'."),
        ("--slice_index -1", "--slice_index -1: axial slice -1 of"),
        (
            "--condition regoins",
            "--condition: got 'regoins', wanted one of mask, box, regions; did you mean 'regions'?",
        ),
        ("--spatial_dims 4", "--spatial_dims: got '4', wanted one of 2, 3"),
        (
            "--slice_index 10 --spatial_dims 3",
            "--slice_index: got 10, but it applies to --spatial_dims 2; leave it out",
        ),
        ("--eta 0.5 --sampler ddpm", "--eta: got 0.5, but it applies to --sampler ddim, not ddpm"),
        ("--start 0", "--start: got 0.0, wanted a fraction of T above 0 and at most 1."),
        ("--seed -1", "--seed: got -1, wanted a whole number of at least 0."),
        ("--guidance nan", "--guidance: got nan, wanted a number between -100 and 100."),
        ("--method mededit --jump 2 --resample 1", "--jump: got 2, but it applies to --resample of at least 2"),
        ("--method mededit --mode paper --jump 2", "--jump: got 2, but --mode paper goes up one level at a time"),
        ("--method mededit --region brain --dilation 5", "--dilation: got 5, but it applies to --region dilate"),
        ("--dilation 5", "--dilation: got 5, but it applies to --region dilate, which morph does not have"),
        ("--method sdedit --start 0.5 --steps 1", "--start: below 1 needs at least 2 --steps, got 1."),
        ("--method palette --condition regions", "--condition: got 'regions', but palette is not told of regions"),
        ("--weights none.pt", "none.pt: weights not found"),
        ("--effects_weights none.pt", "none.pt: weights not found"),
        ("--effects nan", "--effects: got nan, wanted a number between -4 and 4."),
        ("--effects 0 --global_atrophy 1", "--global_atrophy: got 1.0, but it applies to --effects other than 0"),
        ("--course 2 --samples 2", "--course: got 2 with --samples 2, but a course is of one sample"),
        ("--lesion_label 3", "--lesion_label: got 3, but it applies to --carry"),
        ("--device gpu", "--device: got 'gpu'"),
    ],
)
def test_what_is_refused_in_a_sentence(files, words, sentence, mededit):  # noqa: F811
    done = mededit("edit", *files[:4], *words.split(), "-o", "out")
    assert done.refused(sentence), done.said
    assert not Path("out").exists() and not done.out


def test_a_single_slice_is_refused_as_a_volume(tmp_path, monkeypatch, mededit):  # noqa: F811
    """Which the default editor would edit: one sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    write_head(tmp_path / "head", shape=(80, 100, 1))
    words = ("--scan", "head/scan.nii.gz", "--pathology", "head/pathology.nii.gz", "--steps", "1", "-o", "out")
    done = mededit("edit", *words)
    assert done.refused("head/scan.nii.gz: is a single slice (80x100x1)", "give --spatial_dims 2 or --slice_index auto")
    assert not Path("out").exists()
    for way in (("--spatial_dims", 2), ("--slice_index", "auto")):
        assert mededit("edit", *words, *way, "--overwrite").code == 0
        assert Path("out/scan/edited_slice.nii.gz").is_file()
