# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Finished cases in a dataset: names, sidecars, what stays as it is, and what the validator says."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids_cases import AFFINE, SHAPE, add, validator_says, write_case, write_inputs, write_synthesis
from image_files import write_itk
from promises.verbs import tree

from mededit_monai.bids.dataset import BidsDataset
from mededit_monai.core.errors import InputError
from mededit_monai.io.finished import is_complete
from mededit_monai.io.nifti import save_synthetic

#: Of a dataset whose only case is sub-01's.
IMAGES = (
    *("label-lesion_mask", "desc-counterfactual_T1w", "desc-counterfactualeditregion_mask"),
    *("desc-counterfactualaseg_dseg", "from-T1w_to-counterfactual_mode-image_xfm"),
    "from-counterfactual_to-T1w_mode-image_xfm",
)
FILES = [f"anat/sub-01_{name}{end}" for name in IMAGES for end in (".json", ".nii.gz")]
FILES += [f"anat/sub-01_desc-counterfactual_{name}.json" for name in ("effects", "provenance")]
FILES += ["figures/sub-01_desc-counterfactual_T1w.png"]


@pytest.fixture()
def raw(tmp_path) -> dict[str, str]:
    """Files of sub-01 in a dataset."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "dataset_description.json").write_text('{"Name": "raw", "BIDSVersion": "1.9.0"}')
    return write_inputs(tmp_path / "raw" / "sub-01" / "anat", "sub-01_T1w.nii.gz")


@pytest.fixture()
def dataset(tmp_path, raw) -> BidsDataset:
    """With sub-01, laid out."""
    found = BidsDataset(tmp_path / "derivatives")
    write_case(found, "a", raw)
    assert add(found, "a") == ([found.path / "sub-01"], [])
    return found


def sidecar(dataset: BidsDataset, name: str) -> dict:
    return json.loads((dataset.path / "sub-01" / "anat" / f"sub-01_{name}.json").read_text())


def test_the_files_of_a_case_and_of_the_dataset(dataset):
    written = set(tree(dataset.path / "sub-01")) - {".mededit.json"}
    assert written == set(FILES)
    description = json.loads((dataset.path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative" and description["DatasetLinks"] == {"raw": "../raw"}
    assert description["GeneratedBy"][0]["Name"] == "mededit_monai"
    assert not [place for place in dataset.path.rglob("*") if "unfinished" in place.name]


def test_what_sidecars_say(dataset):
    said = sidecar(dataset, "desc-counterfactual_T1w")
    scan = "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"
    assert said["Synthetic"] is True and "Synthetic image" in said["Description"] and said["SkullStripped"] is True
    assert said["Sources"] == [scan, "bids:raw:sub-01/anat/lesion.nii.gz"] and said["SpatialReference"] == scan
    assert sidecar(dataset, "label-lesion_mask")["Type"] == "Lesion"
    assert sidecar(dataset, "desc-counterfactualaseg_dseg")["Sources"] == ["sub-9_desc-aseg_dseg.nii.gz"]
    assert (
        str(dataset.path.parent)
        not in (dataset.path / "sub-01" / "anat" / "x").with_name("sub-01_desc-counterfactual_T1w.json").read_text()
    )


def test_sources_of_carried_files_whose_copies_have_another_name(tmp_path, raw):
    """Formats that are not written, or not in two files: the copies are called otherwise, and by one name nearly."""
    found = BidsDataset(tmp_path / "d")
    write_case(found, "a", raw)
    given = {"aseg.nhdr": "aseg.nrrd", "T2.hdr": "T2.nii.gz", "aseg.mhd": "aseg.mha"}
    place, folder = found.cases / "a" / "provenance.json", found.cases / "a" / "carried"
    facts, effects = json.loads(place.read_text()), found.cases / "a" / "effects.json"
    facts["files"] = raw | {f"carry_{number}": f"elsewhere/{name}" for number, name in enumerate(given)}
    place.write_text(json.dumps(facts))
    (folder / "sub-9_desc-aseg_dseg.nii.gz").unlink()
    for name in given.values():
        write_itk(folder / name, np.ones(SHAPE, np.int16), AFFINE)
    effects.write_text(json.dumps({"carried": {name: {"interpolation": "linear"} for name in given.values()}}))
    add(found, "a")
    said = [json.loads(one.read_text()) for one in (found.path / "sub-01" / "anat").glob("*_T1w.json")]
    carried = {one["Description"].partition(",")[0]: one["Sources"] for one in said if "moved as" in one["Description"]}
    assert carried == {copy: [name] for name, copy in given.items()}


def test_images_are_those_of_the_case_and_say_that_they_are_synthetic(dataset):
    anat = dataset.path / "sub-01" / "anat"
    edited, mask = anat / "sub-01_desc-counterfactual_T1w.nii.gz", anat / "sub-01_label-lesion_mask.nii.gz"
    assert edited.samefile(dataset.cases / "a" / "edited.nii.gz")
    assert np.asarray(nib.load(edited).dataobj)[2, 2, 1] == 600
    lesion = nib.load(mask)
    assert np.asarray(lesion.dataobj).sum() == 2 and np.asarray(lesion.dataobj)[2, 2, 2] == 1
    assert np.array_equal(lesion.affine, AFFINE) and lesion.shape == SHAPE
    assert all(b"synthetic" in nib.load(path).header["descrip"].tobytes() for path in (edited, mask))


def test_samples_are_told_apart_by_desc(tmp_path, raw):
    found = BidsDataset(tmp_path / "d")
    write_case(found, "a", raw, samples=2)
    add(found, "a")
    anat = found.path / "sub-01" / "anat"
    values = [np.asarray(nib.load(anat / f"sub-01_desc-counterfactual{k}_T1w.nii.gz").dataobj)[2, 2, 1] for k in (0, 1)]
    assert values == [600, 599]
    names = {path.name for path in anat.iterdir()}
    assert {
        "sub-01_from-T1w_to-counterfactual1_mode-image_xfm.nii.gz",
        "sub-01_desc-counterfactualmean_T1w.nii.gz",
    } < names
    assert len([name for name in names if name.endswith("_provenance.json")]) == 3


def test_labels_of_a_tumour_become_a_segmentation_too(tmp_path, raw):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 2, :] = (0, 1, 2, 4)
    save_synthetic(labels, AFFINE, Path(raw["pathology"]))
    found = BidsDataset(tmp_path / "d")
    write_case(found, "a", raw)
    provenance = found.cases / "a" / "provenance.json"
    provenance.write_text(provenance.read_text().replace('"stroke"', '"tumor"'))
    add(found, "a")
    anat = found.path / "sub-01" / "anat"
    assert np.asarray(nib.load(anat / "sub-01_label-lesion_mask.nii.gz").dataobj).sum() == 3
    assert np.asarray(nib.load(anat / "sub-01_desc-lesionregions_dseg.nii.gz").dataobj)[2, 2].tolist() == [0, 1, 2, 3]
    table = (anat / "sub-01_desc-lesionregions_dseg.tsv").read_text()
    assert table == "index\tname\n1\tnecrotic core\n2\tedema\n3\tenhancing\n"


def test_a_synthesis(tmp_path):
    found = BidsDataset(tmp_path / "d")
    write_synthesis(found, "head_1", tmp_path / "head_1.nii.gz")
    assert add(found, "head_1") == ([found.path / "sub-head1"], [])
    anat = found.path / "sub-head1" / "anat"
    images = sorted(path.name for path in anat.glob("*.nii.gz"))
    assert images == [
        "sub-head1_ce-gadolinium_desc-synthetic_T1w.nii.gz",
        "sub-head1_desc-asked_dseg.nii.gz",
        "sub-head1_desc-synthetic_FLAIR.nii.gz",
    ]
    assert np.asarray(nib.load(anat / images[2]).dataobj)[0, 0, 0] == 1
    assert np.asarray(nib.load(anat / images[1]).dataobj)[2, 2].tolist() == [0, 1, 3, 0]
    assert (anat / "sub-head1_desc-asked_dseg.tsv").read_text().splitlines()[1] == "1\tcore"
    said = json.loads((anat / "sub-head1_desc-synthetic_FLAIR.json").read_text())
    assert said["Synthetic"] is True and said["SkullStripped"] is True and said["Sources"] == ["head_1.nii.gz"]


def test_a_second_run_changes_nothing_and_a_lost_file_comes_back(dataset):
    before = tree(dataset.path)
    add(dataset, "a")
    assert tree(dataset.path) == before
    (dataset.path / "sub-01" / "anat" / "sub-01_desc-counterfactual_T1w.json").unlink()
    add(dataset, "a")
    assert tree(dataset.path) == before and is_complete(dataset.path / "sub-01")


def test_what_a_person_changed_stays(dataset, raw):
    description, changed = dataset.path / "dataset_description.json", dataset.path / "sub-01" / "anat" / FILES[0][5:]
    content = json.loads(description.read_text()) | {"Authors": ["A", "B"]}
    description.write_text(json.dumps(content))
    changed.write_text('{"Mine": true}')
    write_case(dataset, "a", raw, label=4)
    with pytest.raises(InputError, match=f"{changed.name}: was changed after"):
        add(dataset, "a")
    with pytest.raises(InputError, match="was changed after"):
        dataset.require_free([{"case_id": "a", "files": raw}], [])
    assert changed.read_text() == '{"Mine": true}'
    placed, failed = add(dataset, "a", keep_going=True)
    assert not placed and failed[0]["case_id"] == "a"
    dataset.overwrite = True
    add(dataset, "a")
    assert "Mine" not in changed.read_text() and json.loads(description.read_text()) == content


def test_a_file_of_somebody_s_is_in_the_way(dataset, raw, tmp_path):
    (dataset.path / "sub-01" / "notes.txt").write_text("mine")
    write_case(dataset, "a", raw, label=4)
    before = tree(dataset.path)
    with pytest.raises(InputError, match="notes.txt: was not written by mededit"):
        add(dataset, "a")
    assert tree(dataset.path) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("mine")
    with pytest.raises(InputError, match="README.md: is there already"):
        BidsDataset(tmp_path / "other").require_free([], [])


def test_two_cases_of_one_name_are_refused(dataset, raw):
    one, other = ({"case_id": name, "files": raw} for name in "bc")
    with pytest.raises(InputError, match="cases 'b' and 'c' would both be sub-01.*--output_dir"):
        BidsDataset(dataset.path.parent / "new").require_free([one, other], [])
    session = raw | {"scan": "raw/sub-01_ses-2_T1w.nii.gz"}
    with pytest.raises(InputError, match="cases 'b' and 'c' would both be sub-01"):
        BidsDataset(dataset.path.parent / "new").require_free([one, {"case_id": "c", "files": session}], [])
    with pytest.raises(InputError, match="holds the case 'a'.*--overwrite"):
        dataset.require_free([one], [])
    with pytest.raises(InputError, match="holds a case without sessions"):
        dataset.require_free([{"case_id": "c", "files": session}], [])
    dataset.require_free([one], [], keep_going=True)
    assert "holds the case 'a'" in one["failed"]


def test_the_validator_has_nothing_against_it(dataset, raw):
    write_case(dataset, "b", raw | {"scan": write_inputs(dataset.path.parent / "plain")["scan"]}, samples=2)
    write_synthesis(dataset, "c", dataset.path.parent / "c.nii.gz")
    add(dataset, "a", "b", "c")
    issues = validator_says(dataset.path)
    assert [one for one in issues if one["severity"] == "error"] == []
    assert {one["code"] for one in issues} <= {"TOO_FEW_AUTHORS", "NIFTI_UNIT"}  # units are the scan's own: it has none
