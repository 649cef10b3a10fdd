# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""No verb deletes or replaces a file that it did not write, whatever folder it is given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head
from promises.verbs import mededit, tree  # noqa: F401

NOTES = b"irreplaceable"


@pytest.fixture()
def project(tmp_path, monkeypatch) -> Path:
    """Two subjects, each with a scan, a lesion and notes, as people keep them."""
    root = tmp_path / "project"
    for subject in ("sub-01", "sub-02"):
        head = write_head(root / subject)
        head.scan.rename(root / subject / "T1.nii.gz")
        head.pathology.rename(root / subject / "lesion.nii.gz")
        head.brain.unlink()
        (root / subject / "notes.txt").write_bytes(NOTES)
    cases = [{"case_id": s, "scan": f"{s}/T1.nii.gz", "pathology": f"{s}/lesion.nii.gz"} for s in ("sub-01", "sub-02")]
    (root / "cases.json").write_text(json.dumps(cases))
    monkeypatch.chdir(root)
    return root


def kept(before: dict[str, bytes], root: Path) -> bool:
    after = tree(root)
    return all(after.get(name) == content for name, content in before.items())


#: One slice is enough: which files are written does not depend on how much of them is edited.
ONE_SLICE = ("--slice_index", "auto")
ONE = ("--scan", "sub-01/T1.nii.gz", "--pathology", "sub-01/lesion.nii.gz", *ONE_SLICE)


BOTH = ("--datalist", "cases.json", *ONE_SLICE)
#: To a list both subjects' folders are alike; and one other spelling of "." is tried each time.
ALIKE = [("datalist", BOTH, "sub-02"), ("scan", ONE, "sub-01/../")]
BESIDE = [(n, w, o) for n, w in (("datalist", BOTH), ("scan", ONE)) for o in (".", "..", "sub-01", "sub-02", "link")]
BESIDE += [("datalist", BOTH, "sub-01/../"), ("scan", ONE, "sub-01/../")]


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "words, out",
    [pytest.param(w, o, id=f"{o}-{n}", marks=pytest.mark.slow if (n, w, o) in ALIKE else ()) for n, w, o in BESIDE],
)
def test_an_edit_beside_or_on_the_data(project, mededit, words, out):  # noqa: F811
    (project / "link").symlink_to(".")
    before = tree(project)
    done = mededit("edit", *words, "-o", out)
    assert kept(before, project) and done.code in (0, 2) and "Traceback" not in done.said
    if done.code == 2:
        assert done.refused("was not" if "did not" not in done.err else "did not") and tree(project) == before


@pytest.mark.parametrize("name", ["sub-01.nii.gz", "sub-02.nii.gz"])
def test_a_scan_named_as_the_folder_beside_it(project, mededit, name):  # noqa: F811
    shutil.copy("sub-01/T1.nii.gz", name)
    before = tree(project)
    done = mededit("edit", "--scan", name, "--pathology", "sub-01/lesion.nii.gz", "-o", ".")
    assert tree(project) == before and done.refused("mededit did not write", "--output_dir")


@pytest.mark.slow
def test_two_subjects_with_the_same_file_names(project, mededit):  # noqa: F811
    for subject in ("sub-01", "sub-02"):
        words = ("--scan", f"{subject}/T1.nii.gz", "--pathology", f"{subject}/lesion.nii.gz")
        assert mededit("edit", *words, *ONE_SLICE, "-o", "out").code == 0
    found = {p.parent.name: json.loads(p.read_text())["files"]["scan"] for p in Path("out").rglob("provenance.json")}
    assert found == {"T1": "sub-01/T1.nii.gz", "sub-02_T1": "sub-02/T1.nii.gz"}
    edited = [Path("out", name, "edited.nii.gz").read_bytes() for name in found]
    assert edited[0] == edited[1]  # the same scan, lesion and seed: what a result is called changes no voxel


@pytest.mark.slow
def test_what_a_second_edit_does_with_the_first(project, mededit):  # noqa: F811
    """Skipped when done, made again when a file is damaged or gone, refused when a person changed or added one."""
    out = Path("out/T1")
    assert mededit("edit", *ONE, "-o", "out").code == 0
    first = tree(out)
    assert "skipped" in mededit("edit", *ONE, "-o", "out").err and tree(out) == first
    for spoil in (Path.unlink, lambda p: p.write_bytes(p.read_bytes()[:-9]), lambda p: p.write_bytes(b"")):
        spoil(out / "edited.nii.gz")
        done = mededit("edit", *ONE, "-o", "out")
        assert done.code == 0 and "skipped" not in done.said
        assert (out / "edited.nii.gz").read_bytes() == first["edited.nii.gz"]
    (out / "notes.txt").write_bytes(NOTES)
    assert mededit("edit", *ONE, "-o", "out", "--seed", "5").refused("notes.txt", "not written by mededit")
    (out / "notes.txt").unlink()
    by_hand = nib.load(out / "edit_region.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(by_hand.dataobj) * 0, by_hand.affine), out / "edit_region.nii.gz")
    changed = (out / "edit_region.nii.gz").read_bytes()
    for words in (("--seed", "5"), ()):
        assert mededit("edit", *ONE, "-o", "out", *words).refused("edit_region.nii.gz", "was changed", "--overwrite")
    assert (out / "edit_region.nii.gz").read_bytes() == changed
    assert mededit("edit", *ONE, "-o", "out", "--overwrite").code == 0
    assert (out / "edit_region.nii.gz").read_bytes() == first["edit_region.nii.gz"]


@pytest.mark.parametrize(
    "place", ["sub-01/T1.nii.gz", "sub-01/lesion.nii.gz", "sub-01/notes.txt", "link.nii.gz", "sub-01"]
)
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_a_drawn_lesion_over_a_users_file(project, mededit, place, more):  # noqa: F811
    (project / "link.nii.gz").symlink_to("sub-02/T1.nii.gz")
    before = tree(project)
    done = mededit("lesion", "--scan", "sub-01/T1.nii.gz", "-o", place, *more)
    assert tree(project) == before and done.refused(place)


@pytest.mark.slow
def test_a_drawn_lesion_over_an_older_one(project, mededit):  # noqa: F811
    draw = ("lesion", "--scan", "sub-01/T1.nii.gz", "-o", "drawn.nii.gz")
    assert mededit(*draw).code == 0
    first = Path("drawn.nii.gz").read_bytes()
    assert mededit(*draw).code == 0 and Path("drawn.nii.gz").read_bytes() == first
    assert mededit(*draw, "--seed", "1").refused("drawn.nii.gz", "--overwrite")
    assert Path("drawn.nii.gz").read_bytes() == first
    assert mededit(*draw, "--seed", "1", "--overwrite").code == 0 and Path("drawn.nii.gz").read_bytes() != first


#: Verbs that fill a folder, with what they need; {root} is the project, {out} the folder with a user's files.
FILLING = {
    "simulate": ("simulate", "--cases", "4", "-o", "{out}"),
    "dataset": ("dataset", "folder", "--root", "{root}/table.csv", "--disease", "stroke", "-o", "{out}"),
    "train": ("train", "--cohort_size", "4", "--validation_size", "2", "--max_epochs", "1", "-o", "{out}"),
    "judge train": ("judge", "train", "--cohort", "{root}/cohort", "--max_epochs", "1", "-o", "{out}"),
    "judge predict": (
        "judge",
        "predict",
        "--images",
        "{root}/cohort/testing_00000/image.nii",
        "--disease",
        "stroke",
        "-o",
        "{out}",
    ),
    "evaluate": ("evaluate", "--cohort", "{root}/cohort", "--table", "5.1", "-o", "{out}"),
    "bench": ("bench", "--cohort", "{root}/cohort", "--row", "morph", "--no_speed", "-o", "{out}"),
    "downstream": ("downstream", "--cohort", "{root}/cohort", "--rows", "real", "--iterations", "1", "-o", "{out}"),
    "recovery": ("recovery", "--scans", "{root}/sub-01", "-o", "{out}"),
    "study": ("study", "make", "--images", "{root}/images.csv", "-o", "{out}"),
    "export": ("export", "--to", "zoo", "-o", "{out}"),
    "pairs": ("dataset", "pairs", "--datalist", "{root}/cohort/datalist.json", "-o", "{out}/triplets.json"),
}

#: Names that a verb writes, and that a user may have there.
TAKEN = {
    "simulate": "cohort.json",
    "dataset": "datalist.json",
    "train": "model.pt",
    "judge train": "model.pt",
    "judge predict": "areas.csv",
    "evaluate": "metrics.csv",
    "bench": "bench.json",
    "downstream": "results.json",
    "recovery": "recovery.json",
    "study": "rating.html",
    "export": "models",
    "pairs": "triplets.json",
}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("verb", FILLING)
def test_a_users_file_under_a_name_that_a_verb_writes(project, mededit, verb):  # noqa: F811
    if "{root}/cohort" in " ".join(FILLING[verb]):
        assert mededit("simulate", "--cases", "6", "-o", "cohort", "--no_progress").code == 0
    Path("table.csv").write_text("case_id,patient,image,pathology\na,p1,sub-01/T1.nii.gz,sub-01/lesion.nii.gz\n")
    (project / "mine").mkdir()
    (project / "mine" / TAKEN[verb]).write_bytes(NOTES)
    before = tree(project)
    done = mededit(*(word.format(root=project, out=project / "mine") for word in FILLING[verb]))
    assert done.refused("mine"), done.said
    assert tree(project) == before


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "verb",
    [one for one in FILLING if one != "judge train"],
)
def test_a_file_where_the_output_folder_should_be(project, mededit, verb):  # noqa: F811
    if "{root}/cohort" in " ".join(FILLING[verb]):
        assert mededit("simulate", "--cases", "6", "-o", "cohort", "--no_progress").code == 0
    Path("table.csv").write_text("case_id,patient,image,pathology\na,p1,sub-01/T1.nii.gz,sub-01/lesion.nii.gz\n")
    before = tree(project)
    done = mededit(*(word.format(root=project, out=project / "cases.json") for word in FILLING[verb]))
    assert done.refused("cases.json"), done.said
    assert tree(project) == before
