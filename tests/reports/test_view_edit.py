# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The page about an edit: made of the files that the edit left and of the very scan that it was made of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from shutil import copytree

import nibabel as nib
import numpy as np
import pytest
from view_cases import AFFINE, head, lesion, write_case

from mededit_monai.errors import InputError
from mededit_monai.io.finished import finished_folder, is_complete, require_own_folder
from mededit_monai.io.outputs import list_files, written_files
from mededit_monai.reports.view_edit import VIEWER_FILE, case_folders, edit_view, write_edit_view


@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "SAL"])
def test_all_is_in_ras_order_whatever_the_file_has(tmp_path, axcodes):
    case = edit_view(write_case(tmp_path / "out" / "T1", axcodes))
    (step,) = case.steps
    assert np.array_equal(case.prior, head()) and np.array_equal(case.lesion, lesion())
    assert np.array_equal(step.edit, np.where(lesion(), head() / 2, head())) and np.array_equal(step.region, lesion())
    assert np.allclose(step.displacement, 5) and case.largest_mm == 5 and np.allclose(case.affine, AFFINE)


def test_facts_are_those_of_the_provenance(tmp_path):
    case = edit_view(write_case(tmp_path / "out" / "T1"))
    facts = {name: text for pairs in case.facts.values() for name, text in pairs}
    assert (facts["case"], facts["lesion"], facts["method"], facts["seed"]) == ("T1", "4.1 ml", "morph", "11")
    assert facts["largest displacement"] == "5 mm" and len(facts["scan: scan.nii.gz"]) == 64
    assert case.warnings == ["odd & rare"] and "echo" not in facts
    assert not any(str(tmp_path) in text for text in facts.values())  # where files lie is nobody's business


def test_steps_of_a_course_are_in_their_order(tmp_path):
    names = tuple(f"course_{k}" for k in range(11))
    case = edit_view(write_case(tmp_path / "out" / "T1", steps=names))
    assert [step.name for step in case.steps] == [f"strength {k / 2:g}" for k in range(11)]
    copytree(tmp_path / "out" / "T1" / "course_3", tmp_path / "out" / "T1" / "course_best")
    copytree(tmp_path / "out" / "T1" / "course_3", tmp_path / "out" / "T1" / "course_3_copy")
    assert len(list(edit_view(tmp_path / "out" / "T1").steps)) == 11
    samples = edit_view(write_case(tmp_path / "more" / "T1", steps=("sample_1", "sample_0")))
    assert [step.name for step in samples.steps] == ["sample 0", "sample 1"]


def test_the_page_becomes_one_of_the_result_s_files(tmp_path):
    folder = write_case(tmp_path / "out" / "T1")
    list_files(folder, {"provenance.json": None})
    page = write_edit_view(folder)
    assert page == folder / VIEWER_FILE and b"T1" in page.read_bytes() and VIEWER_FILE in written_files(folder)
    before = page.read_bytes()
    assert write_edit_view(folder) == page and page.read_bytes() == before and not is_complete(folder)
    page.write_text("<p>mine</p></html>")
    with pytest.raises(InputError, match="was changed after mededit wrote it"):
        write_edit_view(folder)
    assert page.read_text() == "<p>mine</p></html>"


def test_what_a_killed_view_left_goes(tmp_path):
    """Else it would be in the way of the next edit, as a file of somebody's."""
    with finished_folder(tmp_path / "out" / "T1") as unfinished:
        copytree(write_case(tmp_path / "made" / "T1"), unfinished, dirs_exist_ok=True)
    folder = tmp_path / "out" / "T1"
    for name in ("viewer.html", ".mededit.json", "mine.html"):
        (folder / f".0123abcd.unfinished.{name}").write_bytes(b"half")
    write_edit_view(folder)
    (folder / ".0123abcd.unfinished.mine.html").unlink()  # the only one that is left
    require_own_folder(folder)


def test_a_result_in_which_a_view_was_killed_can_be_made_again(tmp_path):
    """The page was listed, half of it was written, and a lock lay in the folder: none of that is somebody's."""
    final = tmp_path / "out" / "T1"

    def made() -> None:
        with finished_folder(final) as unfinished:
            (unfinished / "edited.nii.gz").write_bytes(b"edit")

    made()
    list_files(final, {VIEWER_FILE: None})
    (final / ".0123abcd.unfinished.viewer.html").write_bytes(b"half")
    (final / ".mededit.runs").mkdir()
    (final / ".mededit.runs" / "registry.lock").touch()
    assert not is_complete(final)
    made()
    assert is_complete(final) and sorted(one.name for one in final.iterdir()) == [".mededit.json", "edited.nii.gz"]
    assert [one.name for one in final.parent.iterdir()] == ["T1"]  # nothing of the older one stays beside it
    (final / ".0123abcd.unfinished").write_text("somebody's")
    with pytest.raises(InputError, match="was not written by mededit and would have to go"):
        made()


def test_a_page_elsewhere(tmp_path):
    folder = write_case(tmp_path / "out" / "T1")
    page = write_edit_view(folder, output=tmp_path / "pages" / "a.html")
    assert page.is_file() and not (folder / VIEWER_FILE).exists()
    (tmp_path / "theirs.html").write_text("x")
    for name, sentence in (("a.png", "let it end in .html"), ("theirs.html", "not written by mededit")):
        with pytest.raises(InputError, match=sentence):
            write_edit_view(folder, output=tmp_path / name)
    assert (tmp_path / "theirs.html").read_text() == "x"


@pytest.mark.parametrize(("key", "name"), [("scan", "scan.nii.gz"), ("pathology", "lesion.nii.gz")])
def test_an_input_that_was_moved_or_changed(tmp_path, key, name):
    folder = write_case(tmp_path / "out" / "T1")
    place, now = folder.parent / name, tmp_path / "now.nii.gz"
    os.rename(place, now)
    with pytest.raises(InputError, match=f"not found, but T1 was made of it; say where it is now with --{key} FILE"):
        write_edit_view(folder)
    assert write_edit_view(folder, **{key: now}).is_file()
    other = write_case(tmp_path / "other" / "T1", "LPS").parent / name
    with pytest.raises(InputError, match=r"is not the file that T1 was made of \(SHA-256 [0-9a-f]{12}…, wanted"):
        write_edit_view(folder, **{key: other})


@pytest.mark.parametrize("steps", [(), ("sample_0",)], ids=["case", "sample"])
def test_another_mask_for_a_lesion_in_words(tmp_path, steps):
    """The mask that the edit wrote is shown, and no other one in its place."""
    folder = write_case(tmp_path / "out" / "T1", steps=steps)
    given, own, copy = folder.parent / "lesion.nii.gz", folder / "pathology.nii.gz", tmp_path / "copy.nii.gz"
    os.rename(given, own)
    for place in folder.rglob("provenance.json"):
        facts = json.loads(place.read_text())
        del facts["files"]["pathology"], facts["inputs"]["pathology"]
        place.write_text(json.dumps(facts))
    shown = folder / steps[0] if steps else folder
    copy.write_bytes(own.read_bytes())
    for given in (None, copy):
        assert np.array_equal(edit_view(shown, pathology=given).lesion, lesion())
    nib.save(nib.Nifti1Image((head() > 0).astype(np.uint8), AFFINE), copy)
    with pytest.raises(InputError, match=r"copy.nii.gz: is not the file that .* was made of \(SHA-256 [0-9a-f]{12}…"):
        edit_view(shown, pathology=copy)
    own.unlink()
    with pytest.raises(InputError, match="--pathology: got .*copy.nii.gz, but the lesion of .* in words.*edit again"):
        edit_view(shown, pathology=copy)


def test_an_edit_of_another_grid_is_refused(tmp_path):
    folder = write_case(tmp_path / "out" / "T1")
    os.replace(write_case(tmp_path / "b" / "T1", "SAL") / "edited.nii.gz", folder / "edited.nii.gz")
    facts = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps(facts | {"inputs": {}}))
    assert write_edit_view(folder).is_file()  # SAL holds the same voxels once they are in RAS order
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), dtype=np.int16), AFFINE), folder.parent / "scan.nii.gz")
    with pytest.raises(InputError, match=r"has \(40, 48, 36\) voxels, the scan \(4, 4, 4\)"):
        write_edit_view(folder)


def test_one_case_or_all_of_a_folder(tmp_path):
    out = tmp_path / "out"
    one = write_case(out / "b", steps=("sample_0",))
    two = write_case(out / "a")
    (out / "notes").mkdir()
    assert case_folders(one) == [one] and case_folders(out) == [two, one]
    for wrong in (out / "notes", tmp_path / "nowhere"):
        with pytest.raises(InputError, match="give a case's folder, or the output folder of mededit edit"):
            case_folders(wrong)


@pytest.mark.parametrize("content", ["", "[]", '{"case_id": "a"}', '{"options": {}}', "\udcff"])
def test_a_provenance_that_is_none(tmp_path, content):
    (tmp_path / "provenance.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="holds no provenance.json of an edit"):
        write_edit_view(Path(tmp_path))
