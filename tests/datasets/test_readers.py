# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which files are found in a download, whose they are, and where brain masks are looked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets.downloads import SMALL_AFFINE, SMALL_BRAIN, SMALL_SHAPE, atlas_case, boxes, brats_case, lesion_box, save

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.atlas import find_atlas
from mededit_monai.datasets.brats import find_brats
from mededit_monai.datasets.folder import find_folder

# --- ATLAS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["Training", ".", "ATLAS_2/Training"])
def test_atlas_is_found_at_any_depth(tmp_path, part):
    scan = atlas_case(tmp_path, "r001s002", part=part)
    (volume,) = find_atlas(tmp_path).volumes
    assert (volume.volume_id, volume.patient) == ("sub-r001s002", "sub-r001s002")
    assert volume.scan == scan and volume.brain is None
    assert volume.pathology.name == "sub-r001s002_ses-1_space-MNI152NLin2009aSym_label-L_desc-T1lesion_mask.nii.gz"


def test_hidden_files_and_the_testing_part_are_no_faults(tmp_path):
    scan = atlas_case(tmp_path)
    scan.with_name(f"._{scan.name}").write_bytes(b"resource fork")
    hidden = atlas_case(tmp_path, "r050s001", part="Testing")
    next(hidden.parent.glob("*_mask.nii.gz")).unlink()
    listing = find_atlas(tmp_path)
    assert [v.volume_id for v in listing.volumes] == ["sub-r001s001"] and not listing.problems
    assert listing.ignored == {"sub-r050s001": "belongs to the testing part, whose masks are not published"}


def test_a_missing_mask_and_a_second_place_are_faults(tmp_path):
    scan = atlas_case(tmp_path)
    shutil.copytree(scan.parent, tmp_path / "copy")
    lonely = atlas_case(tmp_path, "r001s002")
    next(lonely.parent.glob("*_mask.nii.gz")).unlink()
    listing = find_atlas(tmp_path)
    assert not listing.volumes
    (twice,) = listing.problems["sub-r001s001"]
    assert twice.startswith("sub-r001s001: is there 2 times, wanted once (") and str(tmp_path / "copy") in twice
    (missing,) = listing.problems["sub-r001s002"]
    wanted = "sub-r001s002_ses-1_space-MNI152NLin2009aSym_label-L_desc-T1lesion_mask.nii.gz"
    assert missing.startswith(f"{lonely}: has no lesion mask, wanted {wanted} beside it")


@pytest.mark.parametrize("reader, name", [(find_atlas, "_T1w.nii.gz"), (find_brats, "t1c.nii.gz")])
def test_nothing_there(tmp_path, reader, name):
    with pytest.raises(InputError, match=f"holds no scan named .*{name}.*--root"):
        reader(tmp_path)
    with pytest.raises(InputError, match="none: is not a folder"):
        reader(tmp_path / "none")


# --- brain masks -----------------------------------------------------------------------------------------------------


def test_brain_beside_the_scan(tmp_path):
    scan = atlas_case(tmp_path, brain=True)
    (volume,) = find_atlas(tmp_path).volumes
    assert volume.brain == scan.with_name("sub-r001s001_ses-1_space-MNI152NLin2009aSym_desc-brain_mask.nii.gz")


NAME = "sub-r001s001_ses-1_space-MNI152NLin2009aSym_T1w"
FOLDER = "Training/R001/sub-r001s001/ses-1/anat"


@pytest.mark.parametrize(
    "place",
    [
        f"{FOLDER}/{NAME}.nii.gz",
        f"{FOLDER}/{NAME}_mask.nii",
        f"{FOLDER}/{NAME.removesuffix('_T1w')}_desc-brain_mask.nii.gz",
        f"{NAME}_brain_mask.nii.gz",
        f"{NAME}_bet_mask.nii.gz",
    ],
)
def test_brain_in_a_folder(tmp_path, place):
    atlas_case(tmp_path / "data")
    path = tmp_path / "brains" / place
    path.parent.mkdir(parents=True)
    path.touch()
    (volume,) = find_atlas(tmp_path / "data", str(tmp_path / "brains")).volumes
    assert volume.brain == path
    path.unlink()
    assert find_atlas(tmp_path / "data", str(tmp_path / "brains")).volumes[0].brain is None


def test_brain_by_a_pattern(tmp_path):
    scan = atlas_case(tmp_path)
    path = scan.with_name(f"{NAME}_hdbet.nii.gz")
    path.touch()
    assert find_atlas(tmp_path, "{folder}/{name}_hdbet.nii.gz").volumes[0].brain == path
    assert find_atlas(tmp_path, f"{tmp_path}/none/{{name}}.nii.gz").volumes[0].brain is None
    with pytest.raises(InputError, match="--brains: 'nowhere' is neither a folder nor a pattern with {name}"):
        find_atlas(tmp_path, "nowhere")


# --- BraTS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, scan, patient",
    [
        ("BraTS-GLI-00002-001", "t1c", "BraTS-GLI-00002"),
        ("BraTS2021_00000", "t1ce", "BraTS2021_00000"),
        ("BraTS20_Training_001", "t1ce", "BraTS20_Training_001"),
    ],
)
def test_brats_names_of_three_releases(tmp_path, name, scan, patient):
    path = brats_case(tmp_path / "some/where", name, scan=scan)
    (volume,) = find_brats(tmp_path).volumes
    assert (volume.volume_id, volume.patient, volume.scan) == (name, patient, path)
    assert volume.pathology.name.endswith("seg.nii.gz") and volume.labelled is True


def test_endings_in_capitals(tmp_path):
    for number, end in enumerate((".NII.GZ", ".NII", ".Nii.gz", ".nii.GZ")):
        name, subject = f"BraTS-GLI-0000{number}-000", f"sub-r001s00{number}_ses-1_space-MNI152NLin2009aSym"
        files(tmp_path / "brats" / name, f"{name}-t1c{end}", f"{name}-seg{end}", f"{name}-t1c_desc-brain_mask{end}")
        wanted = (
            f"{subject}_T1w{end}",
            f"{subject}_label-L_desc-T1lesion_mask{end}",
            f"{subject}_desc-brain_mask{end}",
        )
        files(tmp_path / "atlas", *wanted)
    for listing in (find_brats(tmp_path / "brats"), find_atlas(tmp_path / "atlas"), find_folder(tmp_path / "atlas")):
        assert not listing.problems and len(listing.volumes) == 4 and all(len(v.files()) == 3 for v in listing.volumes)


def test_small_letters_and_compressed_files_come_first(tmp_path):
    files(tmp_path, "sub-r001s001_ses-1_space-X_T1w.nii.gz")
    for end in (".NII", ".nii", ".NII.GZ", ".nii.gz"):
        files(tmp_path, f"sub-r001s001_ses-1_space-X_label-L_desc-T1lesion_mask{end}")
        assert find_atlas(tmp_path).volumes[0].pathology.name.endswith(end)


def test_folders_named_as_files_are_no_scans(tmp_path):
    name = tmp_path / "BraTS2021_00000_t1ce.nii"
    files(name, "BraTS2021_00000_t1ce.nii")
    files(tmp_path, "BraTS2021_00000_seg.nii")
    assert list(find_brats(tmp_path).problems["BraTS2021_00000"]) and not find_brats(tmp_path).volumes


def test_a_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    scan = atlas_case(tmp_path / "data")
    files(tmp_path / "brains", f"{scan.name.removesuffix('.nii.gz')}_mask.nii.gz")
    for brains in ("~/brains", "~/brains/{name}_mask.nii.gz"):
        (volume,) = find_atlas("~/data", brains).volumes
        assert volume.scan == scan and volume.brain.parent == tmp_path / "brains"
    assert find_folder("~/data").volumes[0].scan == scan and find_brats(brats_case(tmp_path / "b").parent).volumes


def test_targets_of_radiotherapy_are_masks_without_regions(tmp_path):
    for point in ("1", "2"):
        name = f"BraTS-MEN-RT-0001-{point}"
        files(tmp_path / name, f"{name}_t1c.nii.gz", f"{name}_gtv.nii.gz")
    found = find_brats(tmp_path).volumes
    assert [(v.patient, v.labelled) for v in found] == [("BraTS-MEN-RT-0001", None)] * 2
    assert found[0].pathology.name == "BraTS-MEN-RT-0001-1_gtv.nii.gz"


def test_time_points_belong_to_one_patient(tmp_path):
    for name in ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-GLI-00006-000"):
        brats_case(tmp_path, name)
    assert [v.patient for v in find_brats(tmp_path).volumes] == ["BraTS-GLI-00005"] * 2 + ["BraTS-GLI-00006"]


@pytest.mark.parametrize("second", ["brats-gli-00005-001", "BRATS-GLI-00005-001", "BraTS-GLI-00005-001"])
def test_time_points_belong_to_one_patient_however_they_are_spelled(tmp_path, second):
    """Else a patient would be in two of the splits."""
    for name in ("brats-gli-00005-000", second, "brats-gli-00006-000"):
        brats_case(tmp_path, name)
    found = {v.volume_id: v.patient for v in find_brats(tmp_path).volumes}
    assert found["brats-gli-00005-000"] == found[second] != found["brats-gli-00006-000"]
    assert {patient.lower() for patient in found.values()} == {"brats-gli-00005", "brats-gli-00006"}


def test_validation_part_has_no_segmentation(tmp_path):
    brats_case(tmp_path)
    for part in ("ASNR-MICCAI-BraTS2023-GLI-Challenge-ValidationData", "other"):
        brats_case(tmp_path / part, "BraTS-GLI-00001-000" if part == "other" else "BraTS-GLI-00009-000")
    for path in tmp_path.glob("*/*/*seg.nii.gz"):
        path.unlink()
    listing = find_brats(tmp_path)
    assert list(listing.ignored) == ["BraTS-GLI-00009-000"] and list(listing.problems) == ["BraTS-GLI-00001-000"]
    assert "wanted BraTS-GLI-00001-000-seg.nii.gz beside it" in listing.problems["BraTS-GLI-00001-000"][0]


# --- own folders -----------------------------------------------------------------------------------------------------


def files(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_names_that_simulate_writes(tmp_path):
    files(
        tmp_path / "sub-a1/anat",
        *("sub-a1_T1w.nii.gz", "sub-a1_desc-lesionfree_T1w.nii.gz", "sub-a1_desc-brain_mask.nii.gz"),
        *("sub-a1_desc-lesionfreebrain_mask.nii.gz", "sub-a1_label-L_desc-T1lesion_mask.nii.gz"),
        *("sub-a1_desc-ventricles_dseg.nii.gz", "sub-a1_desc-lesionfreeventricles_dseg.nii.gz"),
    )
    sick, free = sorted(find_folder(tmp_path).volumes, key=lambda v: len(v.volume_id))
    assert (sick.volume_id, free.volume_id) == ("sub-a1", "sub-a1_desc-lesionfree") and sick.patient == free.patient
    assert sick.pathology.name == "sub-a1_label-L_desc-T1lesion_mask.nii.gz" and sick.labelled is False
    assert sick.brain.name == "sub-a1_desc-brain_mask.nii.gz"
    assert free.pathology is None and free.brain.name == "sub-a1_desc-lesionfreebrain_mask.nii.gz"


def test_tumours_take_the_scan_with_contrast_agent_and_the_regions(tmp_path):
    files(
        tmp_path / "sub-a1/anat",
        *("sub-a1_T1w.nii.gz", "sub-a1_ce-gadolinium_T1w.nii.gz", "sub-a1_desc-brain_mask.nii.gz"),
        *("sub-a1_label-L_desc-tumor_mask.nii.gz", "sub-a1_desc-tumor_dseg.nii.gz"),
    )
    (volume,) = find_folder(tmp_path, disease="tumor").volumes
    assert volume.scan.name == "sub-a1_ce-gadolinium_T1w.nii.gz"
    assert volume.pathology.name == "sub-a1_desc-tumor_dseg.nii.gz" and volume.labelled is True
    (volume,) = find_folder(tmp_path, disease="stroke").volumes
    assert volume.scan.name == "sub-a1_T1w.nii.gz" and volume.pathology.name.endswith("_mask.nii.gz")


def test_masks_of_another_session_or_a_derivatives_folder(tmp_path):
    for session in ("1", "2"):
        files(tmp_path / f"sub-b/ses-{session}/anat", f"sub-b_ses-{session}_T1w.nii.gz")
        files(tmp_path / "derivatives/sub-b", f"sub-b_ses-{session}_label-lesion_mask.nii.gz")
    found = find_folder(tmp_path).volumes
    assert [(v.volume_id, v.pathology.name) for v in found] == [
        (f"sub-b_ses-{s}", f"sub-b_ses-{s}_label-lesion_mask.nii.gz") for s in ("1", "2")
    ]


def test_no_lesion_mask_or_two(tmp_path):
    files(tmp_path, "sub-a_T1w.nii.gz")
    files(tmp_path, "sub-b_T1w.nii.gz", "sub-b_label-L_mask.nii.gz", "sub-b_desc-stroke_mask.nii.gz")
    problems = find_folder(tmp_path).problems
    assert "has no lesion mask, wanted sub-a_…_label-L_mask.nii.gz" in problems["sub-a"][0]
    assert "has 2 lesion masks (sub-b_desc-stroke_mask.nii.gz, sub-b_label-L_mask.nii.gz)" in problems["sub-b"][0]


def test_a_table(tmp_path):
    for name in ("one.nii.gz", "two.nii.gz", "mask.nii.gz", "brain.nii"):
        save(
            tmp_path / "files" / name, boxes(SMALL_SHAPE, (1, SMALL_BRAIN), (2, lesion_box(3))), SMALL_AFFINE, np.uint8
        )
    rows = [
        "case_id,patient,image,pathology,brain,remark",
        "a,P1,files/one.nii.gz,files/mask.nii.gz,files/brain.nii,x",
        "b,P2,files/two.nii.gz,,,",
        "c,P3,files/three.nii.gz,,,",
        "d,P4,files/one.nii.gz,,,",
    ]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    for root in (tmp_path, tmp_path / "cases.csv"):
        listing = find_folder(root, disease="tumor")
        assert [(v.volume_id, v.patient) for v in listing.volumes] == [("a", "P1"), ("b", "P2")]
        assert listing.volumes[0].brain == tmp_path / "files/brain.nii" and listing.volumes[1].pathology is None
        assert "three.nii.gz: not found (line 4 of" in listing.problems["c"][0]
        assert "one.nii.gz: belongs to patients 'P1' and 'P4'" in listing.problems["d"][0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("ending, mark", [(".csv", ","), (".CSV", ";"), (".tsv", "\t"), (".txt", ";")])
def test_tables_as_programs_write_them(tmp_path, encoding, ending, mark):
    files(tmp_path / "Köln", "t1.nii.gz", "lesion.nii.gz")
    rows = ["Case_ID;Patient;Image;Pathology;Brain", "a;Müller;Köln/t1.nii.gz;Köln/lesion.nii.gz;", ";;;;", "", ""]
    (tmp_path / f"own{ending}").write_bytes("\r\n".join(rows).replace(";", mark).encode(encoding))
    (volume,) = find_folder(tmp_path / f"own{ending}").volumes
    assert volume.patient == "Müller" and volume.pathology == tmp_path / "Köln/lesion.nii.gz" and volume.brain is None


def test_files_of_a_table_keep_their_names(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    files(tmp_path / "home", "lesion.nii.gz")
    files(tmp_path / "blobs", "0a1b")
    files(tmp_path / "snapshot")
    (tmp_path / "snapshot/t1.nii.gz").symlink_to("../blobs/0a1b")
    files(tmp_path / "blobs", "table")
    (tmp_path / "blobs/table").write_text("case_id,patient,image,pathology\na,P,t1.nii.gz,~/lesion.nii.gz\n")
    (tmp_path / "snapshot/cases.csv").symlink_to("../blobs/table")
    (volume,) = find_folder(tmp_path / "snapshot").volumes
    assert volume.scan == tmp_path / "snapshot/t1.nii.gz" and volume.pathology == tmp_path / "home/lesion.nii.gz"


def test_a_cell_that_can_be_no_file_name_is_a_fault_of_its_row(tmp_path):
    (tmp_path / "own.csv").write_text(f"case_id,patient,image,pathology\na,P,{'x' * 300}.nii,\n")
    assert "not found (line 2 of" in find_folder(tmp_path / "own.csv").problems["a"][0]


@pytest.mark.parametrize(
    "rows, said",
    [
        (["case_id,patient,image,pathology", "a,P,my,scan.nii,"], "line 2 has 5 cells, but the header names 4 columns"),
        (["case_id,image", "a,x.nii"], r"lacks the columns patient, pathology \(found: case_id, image\)"),
        (["case_id,patient,image,pathology", "../a,P,x.nii,"], "line 2 has case_id '../a', wanted a name"),
        (["case_id,patient,image,pathology", "a,,x.nii,"], r"line 2 \('a'\) has no patient or no image"),
        (["case_id,patient,image,pathology"], "holds no scan named in the column image"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, rows, said):
    (tmp_path / "own.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match=said):
        find_folder(tmp_path / "own.csv")
    with pytest.raises(InputError, match=r"none.csv: not found; give a CSV file with the columns case_id"):
        find_folder(tmp_path / "none.csv")


def test_a_table_may_name_any_format(tmp_path):
    for name in ("a.mgz", "b.nrrd"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.dcm").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "d").mkdir()  # a folder without DICOM
    rows = [f"{name[0]},p{name[0]},{name},b.nrrd" for name in ("a.mgz", "b.nrrd", "c", "d")]
    (tmp_path / "cases.csv").write_text("case_id,patient,image,pathology\n" + "\n".join(rows))
    found = find_folder(tmp_path)
    assert [volume.volume_id for volume in found.volumes] == ["a", "b", "c"] and list(found.problems) == ["d"]
