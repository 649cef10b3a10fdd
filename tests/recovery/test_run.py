# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Recoveries as a whole at toy size: segmenters that find all, too much, nothing, or fail."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from promises.verbs import mededit, tree  # noqa: F401
from recovery.toy import AFFINE, SHAPE, fake_edit, labels, segmenter, write_scans

from mededit_monai.core.errors import InputError, SomeFailed
from mededit_monai.io.nifti import read_volume, save_synthetic
from mededit_monai.recovery import run as run_module
from mededit_monai.recovery.cases import insertions
from mededit_monai.recovery.options import RecoveryOptions
from mededit_monai.recovery.report import FILES
from mededit_monai.workflows import recovery

NOTHING, VENTRICLE = np.zeros(SHAPE, np.uint8), labels() * (labels() == 2)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the segmenters here are scripts of a POSIX shell")


@pytest.fixture()
def scans(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("mededit_monai.workflows.edit", fake_edit)
    return write_scans(tmp_path / "scans")


def run(scans: Path, command: str, **options) -> dict:
    asked = {"lesions": ["MCA left small", "MCA right small"], "ventricle_labels": "2", "progress": False}
    return json.loads(recovery(scans, scans.parent / "out", segmenter=command, **asked | options).read_bytes())


def figures(content: dict) -> dict[str, float]:
    return {name: round(one["value"], 6) for name, one in content["figures"].items()}


@pytest.mark.parametrize(
    "edited, recall, expected",
    [
        (labels(), 1, {"volume_bias_ml": 0, "volume_bias_percent": 0, "dice": 1}),
        (labels(grown=1), 1, {"volume_bias_ml": 1.216, "volume_bias_percent": 237.5, "dice": round(128 / 280, 6)}),
        (VENTRICLE, 0, {"volume_bias_ml": -0.512, "volume_bias_percent": -100, "dice": 0}),
    ],
    ids=["the truth", "too much", "nothing"],
)
def test_a_segmenter_s_scores(scans, tmp_path, edited, recall, expected):
    content = run(scans, segmenter(tmp_path, edited, VENTRICLE))
    assert content["recall"]["all"]["value"] == recall and content["recall"]["all"]["n_cases"] == 4
    assert figures(content) == expected | {"false_lesions": 0, "ventricle_bias_ml": 0}
    assert content["unedited"]["false_ml"]["value"] == 0 and content["synthetic"] and not content["failed"]
    out = scans.parent / "out"
    assert all((out / name).is_file() for name in FILES)
    rows = list(csv.DictReader((out / "recovery.csv").open()))
    assert [row["case_id"] for row in rows] == ["p0_lesion0", "p0_lesion1", "p1_lesion0", "p1_lesion1"]
    assert {row["patient"] for row in rows} == {"p0", "p1"} and float(rows[0]["dice"]) == pytest.approx(
        expected["dice"]
    )
    assert f"recall, all | {recall:.3f}" in (out / "recovery.md").read_text()
    assert (out / "recovery.png").read_bytes()[:4] == b"\x89PNG"


def test_it_goes_on_and_changes_nothing_when_all_is_done(scans, tmp_path):
    command = segmenter(tmp_path, labels(), NOTHING)
    first = run(scans, command)
    calls = (tmp_path / "calls").read_text().splitlines()
    before = tree(scans.parent / "out")
    assert len(calls) == 6 and run(scans, command) == first
    assert (tmp_path / "calls").read_text().splitlines() == calls
    assert {k: v for k, v in tree(scans.parent / "out").items() if not k.startswith("edits")} == {
        k: v for k, v in before.items() if not k.startswith("edits")
    }
    (scans.parent / "out" / "found" / "p0_lesion1.nii.gz").unlink()
    assert run(scans, command) == first and len((tmp_path / "calls").read_text().splitlines()) == 7


def test_other_labels_are_scored_anew(scans, tmp_path):
    command = segmenter(tmp_path, labels(), NOTHING)
    recalls = [run(scans, command, lesion_labels=one)["recall"]["all"]["value"] for one in ("1", "3", "1")]
    assert recalls == [1, 0, 1]


class MaskSegmenter:
    """Calls the whole brain mask lesion."""

    name, ventricles = "mask", False

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, scan, brain) -> np.ndarray:
        self.seen.append(scan.path.name)
        return (read_volume(brain).data > 0).astype(np.uint8)


def test_another_brain_mask_is_segmented_anew(scans, tmp_path, monkeypatch):
    own, brain = MaskSegmenter(), tmp_path / "brain.nii.gz"
    monkeypatch.setattr(run_module, "segmenter_of", lambda options, disease: own)
    datalist = tmp_path / "cases.json"
    datalist.write_text(json.dumps([{"case_id": "p0", "scan": str(scans / "p0.nii.gz"), "brain": str(brain)}]))
    asked = {"lesions": ["MCA left small"], "progress": False}
    found = []
    for voxels in (100, 100, 200):
        mask = np.zeros(SHAPE, np.uint8)
        mask.flat[:voxels] = 1
        save_synthetic(mask, AFFINE, brain)
        content = json.loads(recovery(datalist, tmp_path / "out", **asked).read_bytes())
        found.append(content["unedited_scans"][0]["false_ml"])
    assert found == pytest.approx([0.8, 0.8, 1.6])
    assert own.seen == ["p0.nii.gz", "edited.nii.gz"] * 2  # nothing was looked at again while the mask was the same


@pytest.mark.parametrize("brain", ["of a file", "of the background"])
def test_what_lies_outside_the_brain_was_not_put_in(scans, tmp_path, brain):
    """Half of the mask given lies beside the brain: who finds the other half has found all there is."""
    within = np.zeros(SHAPE, np.uint8)
    within[:6] = 1
    case = {"case_id": "p0", "scan": str(scans / "p0.nii.gz"), "pathology": str(tmp_path / "lesion.nii.gz")}
    save_synthetic((labels() == 1).astype(np.uint8), AFFINE, tmp_path / "lesion.nii.gz")
    if brain == "of a file":
        save_synthetic(within, AFFINE, tmp_path / "brain.nii.gz")
        case["brain"] = str(tmp_path / "brain.nii.gz")
    else:
        save_synthetic(100 * within, AFFINE, scans / "p0.nii.gz")
    (tmp_path / "cases.json").write_text(json.dumps([case]))
    content = run(tmp_path / "cases.json", segmenter(tmp_path, (labels() == 1) * within, NOTHING), lesions=None)
    (line,) = content["cases"]
    assert line["inserted_ml"] == pytest.approx(32 * 0.008) and line["lesions"][0]["ml"] == pytest.approx(32 * 0.008)
    assert line["volume_bias_ml"] == 0 and line["dice"] == 1


def test_one_case_that_fails_does_not_stop_the_others(scans, tmp_path):
    with pytest.raises(SomeFailed, match="1 of 4 cases failed, the others are done.*recovery.json"):
        run(scans, segmenter(tmp_path, labels(), NOTHING, failing="p0_lesion1"))
    content = json.loads((scans.parent / "out" / "recovery.json").read_text())
    assert len(content["cases"]) == 3 and content["recall"]["all"]["value"] == 1
    (failed,) = content["failed"]
    assert (
        failed["case_id"] == "p0_lesion1" and "exit code 3" in failed["failed"] and "out of cheese" in failed["failed"]
    )
    assert "out of cheese" in (scans.parent / "out" / "recovery.md").read_text()


def test_without_the_unedited_scan_there_is_no_bias_of_ventricles(scans, tmp_path):
    with pytest.raises(SomeFailed):
        run(scans, segmenter(tmp_path, labels(), NOTHING, failing="scans/p0"))
    lines = {one["case_id"]: one for one in json.loads((scans.parent / "out" / "recovery.json").read_text())["cases"]}
    assert lines["p0_lesion0"]["ventricle_bias_ml"] is None and lines["p1_lesion0"]["ventricle_bias_ml"] is not None


def test_a_segmenter_that_always_fails_or_writes_nothing(scans, tmp_path):
    with pytest.raises(InputError, match="exit code 3 .*None of the 4 cases could be scored"):
        run(scans, segmenter(tmp_path, labels(), NOTHING, failing=""))
    with pytest.raises(InputError, match="must write to {output}"):
        (tmp_path / "edited.nii.gz").unlink()
        run(scans, segmenter(tmp_path, None, NOTHING))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"segmenter": "sh x.sh {image}"}, "does not say {output}"),
        ({"segmenter": "'x {image} {output}"}, "cannot be split"),
        ({"segmenter": "no-such-program {image} {output}"}, "'no-such-program' was not found"),
        ({"segmenter": "sh {image} {output}", "ventricle_labels": "4,x"}, "--ventricle_labels: got '4,x'"),
        ({"segmenter": "sh {image} {output}", "ventricle_labels": "4", "lesion_labels": "1,4"}, "the label 4"),
        ({"ventricle_labels": "4"}, "--ventricle_labels.*--segmenter"),
        ({"lesions": ["MCA lft"]}, "'lft' in 'MCA lft' is not understood"),
        ({"scan": "x"}, "--scan: .*did you mean scans"),
    ],
)
def test_bad_input_is_one_sentence(scans, options, words):
    with pytest.raises(InputError, match=words):
        recovery(scans, scans.parent / "out", progress=False, **options)
    assert not (scans.parent / "out").exists()


def test_what_goes_where(tmp_path):
    scans = write_scans(tmp_path / "scans", 1)
    given = RecoveryOptions.of({"scans": str(scans)})
    assert [one.entry["lesion"] for one in insertions(given)] == ["small", "medium", "large"]
    mask, folder = scans / "p0.nii.gz", tmp_path / "scans"
    given = RecoveryOptions.of({"scans": str(scans), "lesions": [str(mask), str(folder)]})
    assert [one.entry["lesion"] for one in insertions(given)] == [f'mask "{mask}" mni', f'random "{folder}"']
    listed = [{"case_id": "a", "prior": str(mask), "prior_brain": "b.nii.gz", "pathology": "c.nii.gz", "patient": "q"}]
    (tmp_path / "cases.json").write_text(json.dumps(listed))
    (one,) = insertions(RecoveryOptions.of({"scans": str(tmp_path / "cases.json")}))
    assert (one.case_id, one.patient, one.scan) == ("a", "q", mask)
    (tmp_path / "brains.json").write_text(json.dumps([listed[0] | {"anatomy": "brain"}]))
    assert insertions(RecoveryOptions.of({"scans": str(tmp_path / "brains.json")}))[0].patient == "brain"
    assert one.entry["pathology"] == str(tmp_path / "c.nii.gz") and one.entry["brain"] == str(tmp_path / "b.nii.gz")


def test_the_command(scans, tmp_path, mededit):  # noqa: F811
    out = scans.parent / "out"
    words = (
        "recovery",
        "--scans",
        scans,
        "--lesions",
        "MCA left small",
        "--segmenter",
        segmenter(tmp_path, labels(), NOTHING),
    )
    done = mededit(*words, "-o", out, "--json")
    assert done.code == 0 and json.loads(done.out)["recall"]["all"]["value"] == 1, done.said
    assert "recall, all: 1.000 of 2 lesions" in mededit(*words, "-o", out).out
    assert mededit("recovery", "-o", out).refused("--scans: is missing")


def test_the_command_tells_the_result_when_a_case_failed(scans, tmp_path, mededit, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    command = segmenter(tmp_path, labels(), NOTHING, failing="p0_lesion1")
    words = ("recovery", "--scans", scans, "--lesions", "MCA left small", "MCA right small", "--segmenter", command)
    done = mededit(*words, "--json")
    assert done.refused("1 of 4 cases failed, the others are done"), done.said
    told = json.loads(done.out)
    assert told["written"] == "out/recovery/recovery.json" and told["recall"]["all"]["n_cases"] == 3
    assert [one["case_id"] for one in told["failed"]] == ["p0_lesion1"]
    done = mededit(*words, "-o", "elsewhere")
    assert done.refused("1 of 4 cases failed") and "recall, all: 1.000 of 3 lesions" in done.out, done.said


def test_a_report_that_somebody_edited_is_not_replaced(scans, tmp_path, monkeypatch):
    """Refused before the first edit."""
    run(scans, segmenter(tmp_path, labels(), NOTHING))
    out = scans.parent / "out"
    (out / "recovery.md").write_text("with my remarks")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    monkeypatch.setattr(run_module, "_edited", lambda *_: pytest.fail("something was edited"))
    with pytest.raises(InputError, match="recovery.md: was changed after mededit wrote it, so it is not replaced"):
        run(scans, segmenter(tmp_path, labels(), NOTHING))
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
