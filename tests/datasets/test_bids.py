# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Names of BIDS, fMRIPrep and ISLES: which mask goes with which scan, and what the names leave open."""

from __future__ import annotations

from pathlib import Path

import pytest

from mededit_monai.datasets.bids import parse_name
from mededit_monai.datasets.folder import find_folder
from mededit_monai.datasets.sources import SourceVolume

MNI = "space-MNI152NLin2009cAsym"
PREP = "derivatives/fmriprep/sub-01/anat"


def tree(folder: Path, *names: str) -> Path:
    """Empty files; a name without folder goes to ``sub-01/anat``, one without ending gets ``.nii.gz``."""
    for name in names:
        path = folder / (name if "/" in name else f"sub-01/anat/{name}")
        path = path if path.suffix else path.with_name(f"{path.name}.nii.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(volume: SourceVolume) -> tuple[str, str | None, str | None]:
    return tuple(path and path.name.split(".")[0] for path in (volume.scan, volume.pathology, volume.brain))


# --- a scan and its masks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scan, lesion",
    [
        ("sub-01_T1w", "sub-01_T1w_label-lesion_roi"),  # fMRIPrep
        ("sub-01_T1w", "sub-01_label-lesion_roi"),
        ("sub-01_T1w", "sub-01_label-lesion_mask"),
        ("sub-01_T1w", "sub-01_label-L_mask"),
        ("sub-01_T1w", "sub-01_T1w_lesion_roi"),
        ("sub-01_T1w", "sub-01_T1w_lesion_mask"),
        ("sub-01_T1w", "sub-01_lesion_roi"),
        ("sub-01_T1w", "sub-01_lesion_mask"),
        ("sub-01_T1w", "sub-01_lesion"),
        ("sub-01_T1w", "sub-01_desc-lesion_mask"),
        ("sub-01_T1w", "sub-01_desc-strokeManual_mask"),
        ("sub-01_T1w", "sub-01_roi"),
        ("sub-01_T1w", "sub-01_msk"),
        ("sub-01_T1w", "sub-01_space-T1w_desc-lesion_mask"),
        ("sub-01_T1w", "sub-01_space-orig_label-lesion_mask"),
        ("sub-01_T1w", "sub-01_mod-T1w_label-lesion_mask"),
        ("sub-01_space-X_T1w", "sub-01_space-X_label-L_desc-T1lesion_mask"),
        ("sub-01_space-X_T1w", "sub-01_label-L_desc-T1lesion_mask"),
        ("sub-01_ses-1_acq-mprage_run-1_T1w", "sub-01_ses-1_acq-mprage_run-1_label-lesion_mask"),
        ("sub-01_ses-1_acq-mprage_run-1_T1w", "sub-01_ses-1_acq-mprage_run-01_T1w_label-lesion_roi"),
        ("sub-01_ses-1_acq-mprage_run-1_T1w", "sub-01_ses-1_label-lesion_mask"),
        ("sub-01_desc-preproc_T1w", "sub-01_label-lesion_roi"),
        ("sub-01_desc-preproc_T1w", "sub-01_T1w_label-lesion_roi"),
        ("sub-01_desc-preproc_T1w", "sub-01_space-T1w_desc-lesion_mask"),
        (f"sub-01_{MNI}_res-1_desc-preproc_T1w", f"sub-01_{MNI}_res-1_desc-lesion_mask"),
        (f"sub-01_{MNI}_res-1_desc-preproc_T1w", f"sub-01_{MNI}_label-lesion_roi"),
        ("sub-strokecase0001_ses-0001_T1w", "sub-strokecase0001_ses-0001_msk"),  # ISLES
        ("sub-01_T1w.NII.GZ", "sub-01_label-lesion_roi.Nii"),
    ],
)
def test_lesion_masks(tmp_path, scan, lesion):
    listing = find_folder(tree(tmp_path, scan, lesion))
    assert not listing.problems and [names(v)[:2] for v in listing.volumes] == [
        (scan.split(".")[0], lesion.split(".")[0])
    ]


@pytest.mark.parametrize(
    "other",
    [
        "sub-01_T2w_label-lesion_roi",
        "sub-01_FLAIR_lesion_mask",
        "sub-01_mod-FLAIR_label-lesion_mask",
        "sub-01_space-FLAIR_desc-lesion_mask",
        "sub-01_dwi_msk",
        f"sub-01_{MNI}_label-lesion_mask",
        "sub-01_ses-2_label-lesion_mask",
        "sub-02_label-lesion_mask",
        "sub-01_mask",
        "sub-01_label-GM_probseg",
        "sub-01_dseg",
        "sub-01_desc-aseg_dseg",
        "sub-01_label-hippocampus_roi",
        "sub-01_desc-ventricles_mask",
        "sub-01_desc-brain_mask",
        "sub-01_T1w_label-lesion_roi.json",
        "lesion_sub-01_mask",
    ],
)
def test_masks_of_something_else(tmp_path, other):
    (problem,) = find_folder(tree(tmp_path, "sub-01_T1w", other)).problems["sub-01"]
    assert "sub-01_T1w.nii.gz: has no lesion mask" in problem


@pytest.mark.parametrize(
    "scan, brain",
    [
        ("sub-01_T1w", "sub-01_desc-brain_mask"),
        ("sub-01_T1w", "sub-01_T1w_brain_mask"),
        ("sub-01_T1w", "sub-01_brain_mask"),
        ("sub-01_T1w", "sub-01_label-brain_mask"),
        ("sub-01_T1w", "sub-01_space-T1w_desc-brain_mask"),
        ("sub-01_T1w", f"{PREP}/sub-01_desc-brain_mask"),
        ("sub-01_desc-preproc_T1w", "sub-01_desc-brain_mask"),
        (f"sub-01_{MNI}_desc-preproc_T1w", f"sub-01_{MNI}_desc-brain_mask"),
        (f"sub-01_{MNI}_res-1_desc-preproc_T1w", f"sub-01_{MNI}_res-1_desc-brain_mask"),
    ],
)
def test_brain_masks(tmp_path, scan, brain):
    lesion = scan.replace("_desc-preproc", "").replace("T1w", "label-lesion_mask")
    (volume,) = find_folder(tree(tmp_path, scan, lesion, brain)).volumes
    assert names(volume) == (scan, lesion, brain.rpartition("/")[2])


def test_the_nearest_masks_are_taken(tmp_path):
    scan = f"sub-01_{MNI}_T1w"
    root = tree(tmp_path, scan, "sub-01_label-L_mask", f"sub-01_{MNI}_label-L_mask", "sub-01_label-amygdala_roi")
    tree(root, "sub-01_desc-brain_mask", f"sub-01_{MNI}_desc-brain_mask", f"{PREP}/sub-01_{MNI}_desc-brain_mask")
    (volume,) = find_folder(root).volumes
    assert names(volume) == (scan, f"sub-01_{MNI}_label-L_mask", f"sub-01_{MNI}_desc-brain_mask")
    assert volume.brain.parent == volume.scan.parent


# --- several scans of a subject --------------------------------------------------------------------------------------

FMRIPREP = (
    *(f"{PREP}/sub-01_desc-preproc_T1w", f"{PREP}/sub-01_desc-brain_mask", f"{PREP}/sub-01_dseg"),
    *(f"{PREP}/sub-01_{MNI}_res-1_desc-preproc_T1w", f"{PREP}/sub-01_{MNI}_res-1_desc-brain_mask"),
    *(f"{PREP}/sub-01_label-GM_probseg", f"{PREP}/sub-01_{MNI}_res-1_dseg"),
)


@pytest.mark.parametrize(
    "lesion, scan, brain",
    [
        ("sub-01_T1w_label-lesion_roi", "sub-01_T1w", "sub-01_desc-brain_mask"),
        ("derivatives/lesions/sub-01_T1w_label-lesion_roi", "sub-01_T1w", "sub-01_desc-brain_mask"),
        ("sub-01_label-lesion_mask", "sub-01_T1w", "sub-01_desc-brain_mask"),
        (f"{PREP}/sub-01_label-lesion_mask", "sub-01_desc-preproc_T1w", "sub-01_desc-brain_mask"),
        ("sub-01_desc-preproc_T1w_label-lesion_roi", "sub-01_desc-preproc_T1w", "sub-01_desc-brain_mask"),
        (
            f"sub-01_{MNI}_label-lesion_roi",
            f"sub-01_{MNI}_res-1_desc-preproc_T1w",
            f"sub-01_{MNI}_res-1_desc-brain_mask",
        ),
    ],
)
def test_raw_and_prepared_scans(tmp_path, lesion, scan, brain):
    listing = find_folder(tree(tmp_path, "sub-01_T1w", *FMRIPREP, lesion))
    assert [names(v) for v in listing.volumes] == [(scan, lesion.rpartition("/")[2], brain)] and not listing.problems
    wanted = f"is another version of {scan}.nii.gz, to which the lesion mask belongs"
    assert len(listing.ignored) == 2 and set(listing.ignored.values()) == {wanted}


@pytest.mark.parametrize(
    "scans, mask",
    [
        (("sub-01_T1w", "sub-01_desc-preproc_T1w"), "sub-01_label-lesion_mask"),
        (("sub-01_T1w", f"{PREP}/sub-01_desc-preproc_T1w"), "derivatives/lesions/sub-01_label-lesion_mask"),
        (("sub-01_ses-1_T1w", "sub-01_ses-2_T1w"), "sub-01_label-lesion_mask"),
        (("sub-01_run-1_T1w", "sub-01_run-2_T1w"), "sub-01_T1w_label-lesion_roi"),
    ],
)
def test_a_mask_that_may_belong_to_two_scans_is_not_guessed(tmp_path, scans, mask):
    listing = find_folder(tree(tmp_path, *scans, mask))
    assert not listing.volumes and not listing.ignored
    ((problem,),) = listing.problems.values()
    one, two = (f"{scan.rpartition('/')[2]}.nii.gz" for scan in scans)
    name = mask.rpartition("/")[2]
    assert f"{name}.nii.gz: can belong to {one} or {two}, wanted one scan; name the right one in a CSV." in problem


def test_sessions_without_a_mask_stay_faults(tmp_path):
    listing = find_folder(tree(tmp_path, "sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-01_ses-1_label-lesion_mask"))
    assert [v.volume_id for v in listing.volumes] == ["sub-01_ses-1"] and list(listing.problems) == ["sub-01_ses-2"]


def test_a_scan_is_no_mask_whatever_its_name_says(tmp_path):
    root = tree(tmp_path, "sub-01_T1w", "derivatives/filled/sub-01_desc-lesionfilled_T1w", "sub-01_label-lesion_roi")
    (volume,) = find_folder(root).volumes
    assert names(volume)[:2] == ("sub-01_T1w", "sub-01_label-lesion_roi")


def test_a_copy_of_the_scan_is_still_a_fault(tmp_path):
    listing = find_folder(tree(tmp_path, "sub-01_T1w", "copy/sub-01_T1w", "sub-01_label-lesion_mask"))
    assert "is there 2 times, wanted once" in listing.problems["sub-01"][0] and not listing.volumes


@pytest.mark.parametrize("name", ["T1w", "sub-_T1w", "sub-01", "sub-01_desc-x", "sub-01_T1w_desc-x", "a_sub-01_T1w"])
def test_names_that_are_none(name):
    assert parse_name(Path(f"{name}.nii.gz")) is None
