# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What an edit did, and what it could not, is said on the screen and in the provenance."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import write_head
from promises.verbs import mededit  # noqa: F401

from mededit_monai.core.paths import bundle_root


@pytest.fixture()
def head(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_head(tmp_path / "head")


def files(head) -> tuple[str, ...]:
    return ("--scan", str(head.scan), "--pathology", str(head.pathology))


def warnings(folder: str = "out/scan") -> list[str]:
    return json.loads(Path(folder, "provenance.json").read_text())["warnings"]


def mask(head, where) -> None:
    """Draw another lesion: ``where`` is an index into the array."""
    image = nib.load(head.pathology)
    data = np.zeros(image.shape, np.uint8)
    data[where] = 1
    nib.save(nib.Nifti1Image(data, image.affine), head.pathology)


# --- warnings --------------------------------------------------------------------------------------------------------


def as_it_is(head):
    pass


def no_codes(head):
    for path in (head.scan, head.pathology):
        image = nib.load(path)
        image = nib.Nifti1Image(np.asarray(image.dataobj), None, image.header)
        image.header["sform_code"] = image.header["qform_code"] = 0
        nib.save(image, path)


def carried_map(head):
    """A label map to carry, in which the label 1 is a structure's."""
    head.pathology.with_name("aseg.nii.gz").write_bytes(head.pathology.read_bytes())


def upside_down(head):
    """T2-like: a lesion at the level of T1's fluid is the brightest there."""
    image = nib.load(head.scan)
    data = np.asarray(image.dataobj).astype(np.float32)
    nib.save(nib.Nifti1Image(np.where(data > 0, 700 + data / 100, 0), image.affine), head.scan)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "spoil, options, word",
    [
        (as_it_is, "--effects 0 --guidance 0 --steps 1", "changed no voxel"),
        (as_it_is, "--slice_index auto --steps 2", "1 of the 4 slices of the lesion"),
        (no_codes, "--spatial_dims 2 --steps 2", "left and right are a guess"),
        (upside_down, "--spatial_dims 2 --steps 2", "does not seem to begin at 0"),
        (
            carried_map,
            "--spatial_dims 2 --steps 2 --carry head/aseg.nii.gz --lesion_label 1",
            "of its voxels have the label 1 already, which --lesion_label gives the lesion",
        ),
    ],
)
def test_a_warning_is_said_recorded_and_refused_if_strict(head, mededit, spoil, options, word):  # noqa: F811
    spoil(head)
    words = ("edit", *files(head), *options.split())
    done = mededit(*words, "-o", "out")
    assert done.code == 0 and "mededit: scan: warning: " in done.err and word in done.err
    assert any(word in warning for warning in warnings())
    strict = mededit(*words, "-o", "strict", "--strict")
    assert strict.refused(word, "--strict") and not Path("strict").exists()


def test_an_edit_without_a_warning_says_nothing(head, mededit):  # noqa: F811
    done = mededit("edit", *files(head), "-o", "out", "--strict", "--steps", "3")
    assert done.code == 0 and "warning" not in done.said and warnings() == []


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "samples, words, share", [(1, "--steps 1", 1.0), (1, "--spatial_dims 2", 1.0), (2, "--slice_index auto", 0.25)]
)
def test_voxels_that_changed_are_counted(head, mededit, samples, words, share):  # noqa: F811
    assert mededit("edit", *files(head), "-o", "out", "--samples", samples, *words.split()).code == 0
    for folder in ["out/scan"] if samples == 1 else ["out/scan/sample_0", "out/scan/sample_1"]:
        facts = json.loads(Path(folder, "provenance.json").read_text())
        before, after = (np.asarray(nib.load(p).dataobj) for p in (head.scan, Path(folder, "edited.nii.gz")))
        assert facts["voxels_changed"] == (before != after).sum() > 0
        assert facts["lesion_share_edited"] == pytest.approx(share)


# --- mad values ------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(4)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "-1e9", "99999999999999999999999", "x", ""])
@pytest.mark.parametrize(
    "option", ["guidance", "eta", "start", "resample_above", "steps", "samples", "dilation", "seed", "num_workers"]
)
def test_mad_numbers(head, mededit, option, value):  # noqa: F811
    done = mededit("edit", *files(head), "-o", "out", f"--{option}={value}")
    assert done.code == 2 and "Traceback" not in done.said and f"--{option}" in done.err.replace("'", "")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "words", [("--device", "gpu"), ("--device", "cuda:99"), ("--device", "meta"), ("--device", "")]
)
def test_a_device_that_is_not_there(head, mededit, words):  # noqa: F811
    assert (
        mededit("edit", *files(head), "-o", "out", *words).refused("--device: got", "cpu") and not Path("out").exists()
    )


@pytest.mark.parametrize(
    "words, why",
    [
        (("--method", "morph", "--dilation", "9"), "--dilation: got 9, but it applies to --region dilate"),
        (
            ("--method", "mededit", "--region", "brain", "--dilation", "9"),
            "--dilation: got 9, but it applies to --region dilate",
        ),
        (("--method", "mededit", "--eta", "0.5"), "--eta: got 0.5, but it applies to --sampler ddim"),
        (("--method", "mededit", "--resample", "1", "--jump", "3"), "--jump: got 3, but it applies to --resample"),
        (("--method", "mededit", "--resample", "1", "--resample_above", "0.2"), "--resample_above: got 0.2, but it"),
        (("--device", "cpu", "--amp", "fp16"), "--amp: got 'fp16', but it applies to a GPU; a CPU takes bf16"),
        (("--shard", "1/2"), "--shard: got '1/2' with a single scan"),
        (("--cluster", "local:2"), "--cluster: got 'local:2', but it applies to --datalist"),
    ],
)
def test_an_option_is_used_or_refused(head, mededit, words, why):  # noqa: F811
    assert mededit("edit", *files(head), "-o", "out", *words).refused(why) and not Path("out").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_nan_becomes_an_image(head, mededit, value):  # noqa: F811
    state = torch.load(bundle_root("stroke") / "models" / "paint.pt", weights_only=True)
    name = next(iter(state))
    state[name].view(-1)[0] = value
    torch.save(state, "weights.pt")
    done = mededit("edit", *files(head), "-o", "out", "--weights", "weights.pt")
    assert done.refused("weights.pt", "NaN") or done.refused("NaN or infinite"), done.said
    assert not Path("out").exists()


# --- lists -----------------------------------------------------------------------------------------------------------


def listed(head, *bad: str) -> None:
    """A list with two good cases, and bad ones between."""
    good = {"scan": str(head.scan), "pathology": str(head.pathology)}
    kinds = {
        "absent": good | {"scan": "none.nii.gz"},
        "empty": good | {"pathology": str(Path("empty.nii.gz").resolve())},
        "damaged": good | {"scan": str(Path("damaged.nii.gz").resolve())},
    }
    image = nib.load(head.pathology)
    nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), "empty.nii.gz")
    Path("damaged.nii.gz").write_bytes(head.scan.read_bytes()[:-9])
    cases = [{"case_id": "first", **good}, *({"case_id": k, **kinds[k]} for k in bad), {"case_id": "last", **good}]
    Path("cases.json").write_text(json.dumps(cases))


#: What a run over a list leaves beside the folders.
LISTS = {"summary.csv", "summary.html", ".mededit.json"}

RUN = ("edit", "--datalist", "cases.json", "-o", "out", "--slice_index", "10")


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "batch, workers", [(1, 0), (3, 2), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((1, 2), (3, 0)))]
)
def test_one_bad_case_does_not_stop_the_others(head, mededit, workers, batch):  # noqa: F811
    listed(head, "absent", "empty", "damaged")
    words = (*RUN, "--num_workers", workers, "--batch_size", batch)
    assert mededit(*words).refused("3 of 5 cases failed, the others are done", "failed.json")
    assert {p.name for p in Path("out").iterdir()} == {"first", "last", "failed.json", *LISTS}
    failed = {one["case_id"]: one["failed"] for one in json.loads(Path("out/failed.json").read_text())}
    assert set(failed) == {"absent", "empty", "damaged"}
    assert "not found" in failed["absent"] and "empty" in failed["empty"] and "truncated" in failed["damaged"]
    assert not any("Traceback" in sentence for sentence in failed.values())


def test_without_keep_going_the_first_one_ends_the_run(head, mededit):  # noqa: F811
    listed(head, "empty")
    assert mededit(*RUN, "--no_keep_going").refused("empty.nii.gz: is empty")
    assert {p.name for p in Path("out").iterdir()} == {"first", *LISTS}
    assert [line.split(",")[:2] for line in Path("out/summary.csv").read_text().splitlines()[1:]] == [["first", "done"]]


def test_a_single_scan_has_no_others_to_go_on_with(head, mededit):  # noqa: F811
    done = mededit("edit", *files(head), "-o", "out", "--no_keep_going")
    assert done.refused("--keep_going: got False, but it applies to --datalist") and not Path("out").exists()
    nib.save(nib.Nifti1Image(np.zeros((80, 100, 20), np.uint8), head.image.affine), "empty.nii.gz")
    assert mededit("edit", "--scan", head.scan, "--pathology", "empty.nii.gz", "-o", "out").refused("is empty")
    assert not Path("out").exists()


@pytest.mark.slow
def test_cases_that_were_mended_leave_the_list(head, mededit):  # noqa: F811
    listed(head, "empty", "damaged")
    assert mededit(*RUN).code == 2
    Path("empty.nii.gz").write_bytes(head.pathology.read_bytes())
    assert mededit(*RUN).refused("1 of 4 cases failed, the others are done")
    assert [one["case_id"] for one in json.loads(Path("out/failed.json").read_text())] == ["damaged"]
    Path("damaged.nii.gz").write_bytes(head.scan.read_bytes())
    assert mededit(*RUN).code == 0
    assert {p.name for p in Path("out").iterdir()} == {"first", "last", "empty", "damaged", *LISTS}
    assert mededit(*RUN).code == 0


@pytest.mark.parametrize("name", ["failed.json", "summary.csv", "summary.html"])
def test_a_users_file_of_that_name_is_not_ours(head, mededit, name):  # noqa: F811
    listed(head, "empty")
    Path("out").mkdir()
    Path("out", name).write_text("mine")
    assert mededit(*RUN).refused(f"{name}: is there already and was not written by mededit")
    assert [p.name for p in Path("out").iterdir()] == [name] and Path("out", name).read_text() == "mine"
