# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The stroke bundle end to end, by the commands that its users type."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import REPOSITORY, write_head

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.networks import MaskConditionedUNet, load_weights, save_weights

BUNDLE = REPOSITORY / "bundles" / "stroke"
CONFIGS = BUNDLE / "configs"
QUICK = {"method": "mededit", "slice_index": "auto", "steps": 3, "resample": 1, "progress": False}


def monai_run(run_id: str, config: str, cwd: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", str(CONFIGS / config)]
    command += ["--bundle_root", str(BUNDLE), *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


# --- editing ---------------------------------------------------------------------------------------------------------


def test_inference_command(tmp_path):
    """A case that is edited, and one that is refused: files of the first, sentence and exit code of the other."""
    head, files = write_head(tmp_path / "head", "LIA"), {}
    for name, pathology in (("scan", head.pathology), ("empty", tmp_path / "empty.nii.gz")):
        files[name] = {"case_id": name, "scan": str(head.scan), "pathology": str(pathology)}
    nib.save(nib.Nifti1Image(np.zeros(head.image.shape, np.uint8), head.image.affine), tmp_path / "empty.nii.gz")
    (tmp_path / "cases.json").write_text(json.dumps([*files.values()]))
    done = monai_run(
        *("inference", "inference.yaml", tmp_path, "--datalist", "cases.json", "--output_dir", "out"),
        *("--steps", "3", "--progress", "false", "--exact", "true", "--start", "null"),
    )
    assert done.returncode == 2, done.stderr[-2000:]
    last = done.stderr.strip().splitlines()[-1]
    assert (
        last.startswith("mededit: 1 of 2 cases failed") and "is empty" in done.stderr and "Traceback" not in done.stderr
    )
    assert not (tmp_path / "out" / "empty").exists()
    assert "denoising" not in done.stderr  # the bar is off, not the text 'false' taken for true
    check_output(tmp_path / "out" / "scan", head, volume=True)
    options = json.loads((tmp_path / "out" / "scan" / "provenance.json").read_text())["options"]
    assert options["exact"] is True and options["start"] is None


def check_output(folder: Path, head, volume: bool = False) -> None:
    """Files, grid, marks and what changed."""
    model = "edited_model.nii.gz" if volume else "edited_slice.nii.gz"
    names = {"edited.nii.gz", model, "edit_region.nii.gz", "preview.png", "provenance.json"}
    if volume:  # by the editor that displaces
        names |= {"displacement.nii.gz", "inverse_displacement.nii.gz", "effects.json"}
    assert {p.name for p in folder.iterdir()} == names | {".mededit.json"}
    edited, region = nib.load(folder / "edited.nii.gz"), nib.load(folder / "edit_region.nii.gz")
    assert np.array_equal(edited.affine, head.image.affine) and edited.shape == head.image.shape
    assert np.allclose(region.affine, head.image.affine)
    changed = np.asarray(edited.dataobj) != np.asarray(head.image.dataobj)
    assert changed.any() and not changed[np.asarray(region.dataobj) == 0].any()
    for name in names - {"preview.png", "provenance.json", "effects.json"}:
        assert b"synthetic" in nib.load(folder / name).header["descrip"].tobytes()
    record = json.loads((folder / "provenance.json").read_text())
    assert record["synthetic"] is True and record["nfe"] == 3 + volume
    assert set(record["inputs"]) >= {"scan", "pathology"} and len(record["options"]["weights_sha256"]) == 64
    assert record["options"]["steps"] == 3 and record["versions"]["monai"] and record["seconds"] > 0


def test_edit_function_and_seeds(tmp_path):
    head = write_head(tmp_path / "head")
    outputs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (folder,) = edit(head.scan, head.pathology, tmp_path / name, seed=seed, **QUICK)
        check_output(folder, head)
        outputs.append((folder / "edited.nii.gz").read_bytes())
    assert outputs[0] == outputs[1] != outputs[2]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "options, nfe",
    [
        ({"method": "naive_repaint"}, 3),
        ({"method": "sdedit", "steps": 50}, 21),
        ({"sampler": "dpm2m", "restore": "replace"}, 3),
        ({"region": "brain", "guidance": 2.0}, 6),
        ({"mode": "paper", "spacing": "t"}, 3),
        ({"resample": 2, "resample_above": 0.5, "spacing": "t", "channels_last": True}, 4),
    ],
    ids=str,
)
def test_methods_and_options(tmp_path, options, nfe):
    head = write_head(tmp_path / "head")
    (folder,) = edit(head.scan, head.pathology, tmp_path, **{**QUICK, **options})
    assert json.loads((folder / "provenance.json").read_text())["nfe"] == nfe
    changed = np.asarray(nib.load(folder / "edited.nii.gz").dataobj) != np.asarray(head.image.dataobj)
    lesion = nib.load(head.pathology).get_fdata() > 0
    if options.get("method") == "naive_repaint":  # the lesion and the seam of its upsampling
        near = np.pad(lesion, 2)
        near = sum(np.roll(near, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1))[2:-2, 2:-2, 2:-2] > 0
        assert not changed[~near].any()
    assert changed[lesion].any()


def test_region_found_by_the_network(tmp_path):
    head = write_head(tmp_path / "head")
    (folder,) = edit(head.scan, head.pathology, tmp_path, region="auto", **QUICK)
    lesion = nib.load(head.pathology).get_fdata() > 0
    region = np.asarray(nib.load(folder / "edit_region.nii.gz").dataobj) > 0
    changed = np.asarray(nib.load(folder / "edited.nii.gz").dataobj) != np.asarray(head.image.dataobj)
    slices = region.any(axis=(0, 1))
    assert slices.sum() == 1 and region[lesion & slices].all() and not changed[~region].any()
    record = json.loads((folder / "provenance.json").read_text())
    assert record["nfe"] == 3 + 8 and record["options"]["region"] == "auto"


def test_region_from_a_file(tmp_path):
    head = write_head(tmp_path / "head")
    mask = np.zeros(head.image.shape, np.uint8)
    mask[30:50, 40:60] = 1
    nib.save(nib.Nifti1Image(mask, head.image.affine), tmp_path / "mask.nii.gz")
    (folder,) = edit(head.scan, head.pathology, tmp_path / "out", region=str(tmp_path / "mask.nii.gz"), **QUICK)
    changed = np.asarray(nib.load(folder / "edited.nii.gz").dataobj) != np.asarray(head.image.dataobj)
    assert changed.any() and not changed[:29].any() and not changed[51:].any()


def test_samples_with_mean_and_deviation(tmp_path):
    head = write_head(tmp_path / "head")
    (folder,) = edit(head.scan, head.pathology, tmp_path / "out", samples=2, **QUICK)
    volumes = [nib.load(folder / f"sample_{k}" / "edited.nii.gz").get_fdata() for k in (0, 1)]
    assert not np.array_equal(*volumes)
    assert np.allclose(nib.load(folder / "mean.nii.gz").get_fdata(), np.mean(volumes, axis=0), atol=0.01)
    assert np.allclose(nib.load(folder / "sd.nii.gz").get_fdata(), np.std(volumes, axis=0), atol=0.01)
    single = edit(head.scan, head.pathology, tmp_path / "single", **QUICK)[0] / "edited.nii.gz"
    assert np.array_equal(nib.load(single).get_fdata(), volumes[0])


def test_all_slices_share_their_noise(tmp_path):
    head = write_head(tmp_path / "head")
    (folder,) = edit(head.scan, head.pathology, tmp_path / "out", **{**QUICK, "slice_index": "all", "dilation": 13})
    record = json.loads((folder / "provenance.json").read_text())
    region = nib.load(folder / "edit_region.nii.gz").get_fdata()
    assert np.flatnonzero(region.any(axis=(0, 1))).tolist() == record["slices"]
    assert nib.load(folder / "edited_slice.nii.gz").shape == (128, 128, len(record["slices"]))


def cohort(tmp_path: Path, count: int = 3) -> Path:
    cases = []
    for k, axcodes in zip(range(count), ("RAS", "LIA", "PSR")):
        write_head(tmp_path / f"case{k}", axcodes)
        files = {"image": f"case{k}/scan.nii.gz", "brain": f"case{k}/brain.nii.gz"}
        cases.append({"case_id": f"case{k}", "pathology": f"case{k}/pathology.nii.gz", **files})
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"testing": cases}))
    return path


@pytest.mark.slow
def test_datalist_resumes_and_shards(tmp_path):
    datalist, out = cohort(tmp_path), tmp_path / "out"
    exact = {**QUICK, "exact": True, "datalist": str(datalist)}
    assert [p.name for p in edit(output_dir=out, shard="1/2", **exact)] == ["case0", "case2"]
    times = {p: p.stat().st_mtime_ns for p in out.glob("*/edited.nii.gz")}
    assert [p.name for p in edit(output_dir=out, **exact)] == ["case1"]
    assert all(p.stat().st_mtime_ns == t for p, t in times.items())
    assert edit(output_dir=out, **exact) == []
    assert len(edit(output_dir=out, **{**exact, "seed": 5})) == 3  # other options: made anew
    batched = edit(output_dir=tmp_path / "batched", **{**exact, "batch_size": 3, "seed": 5})
    for folder in batched:
        assert (folder / "edited.nii.gz").read_bytes() == (out / folder.name / "edited.nii.gz").read_bytes()


# --- bad input: one sentence, exit code 2, nothing half-written -------------------------------------------------------


@pytest.mark.parametrize(
    "options, words",
    [
        ({"method": "medit"}, ("--method", "medit", "mededit")),
        ({"resampel": 4}, ("--resampel", "did you mean --resample")),
        ({"steps": 0}, ("--steps", "0", "at least 1")),
        ({"steps": -5}, ("--steps", "-5")),
        ({"steps": 2000}, ("--steps", "1000")),
        ({"resample": 0}, ("--resample",)),
        ({"samples": 1.5}, ("--samples", "1.5")),
        ({"start": 0.0}, ("--start", "0.0")),
        ({"start": 0.5, "steps": 1}, ("--start",)),
        ({"eta": 3}, ("--eta", "3", "between 0 and 1")),
        ({"resample_above": 2}, ("--resample_above", "2", "between 0 and 1")),
        ({"amp": "fp8"}, ("--amp", "fp8", "bf16")),
        ({"batch_size": 0}, ("--batch_size", "0", "at least 1")),
        ({"window_mm": -5}, ("--window_mm", "-5")),
        ({"inferer#stepz": 3}, ("--inferer#stepz", "editor_of", "options, scheduler")),
        ({"writer#restored": "x"}, ("--writer#restored", "did you mean --writer#restore")),
        ({"sampler": "plms"}, ("--sampler", "plms", "dpm2m")),
        ({"slice_index": "some"}, ("--slice_index", "some")),
        ({"slice_index": 0}, ("--slice_index 0", "8 to 11")),
        ({"region": "auto", "method": "sdedit"}, ("--region", "own")),
        ({"region": "nowhere.nii.gz"}, ("nowhere.nii.gz", "not found")),
        ({"region": "brain", "method": "sdedit"}, ("--region", "sdedit")),
        ({"bundle": "strok"}, ("--bundle", "strok", "stroke")),
        ({"weights": "none.pt"}, ("none.pt", "weights not found")),
        ({"shard": "3/2"}, ("--shard", "3/2")),
        ({"datalist": "cases.json"}, ("--datalist",)),
    ],
    ids=str,
)
def test_bad_options(tmp_path, options, words):
    head = write_head(tmp_path / "head")
    with pytest.raises(InputError) as caught:
        edit(head.scan, head.pathology, tmp_path / "out", **{**QUICK, **options})
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_weights_that_do_not_fit(tmp_path):
    head = write_head(tmp_path / "head")
    other = MaskConditionedUNet(channels=(16, 32), attention_levels=(False, False))
    save_weights(other, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("not weights")
    torch.save({"network": other}, tmp_path / "pickle.pt")
    for name, word in (("other.pt", "does not fit"), ("text.pt", "truncated"), ("pickle.pt", "more than tensors")):
        with pytest.raises(InputError, match=word):
            edit(head.scan, head.pathology, tmp_path / "out", weights=str(tmp_path / name), **QUICK)
    assert load_weights(MaskConditionedUNet(channels=(16, 32), attention_levels=(False, False)), tmp_path / "other.pt")


def test_a_failing_case_leaves_the_finished_ones(tmp_path):
    datalist, out = cohort(tmp_path), tmp_path / "out"
    mask = nib.load(tmp_path / "case1" / "pathology.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros(mask.shape, np.uint8), mask.affine), tmp_path / "case1" / "pathology.nii.gz")
    with pytest.raises(InputError, match="case1.*is empty"):
        edit(output_dir=out, datalist=str(datalist), keep_going=False, **QUICK)
    assert [p.name for p in out.iterdir() if p.is_dir()] == ["case0"]
    with pytest.raises(InputError, match="1 of 2 cases failed|1 of 3 cases failed"):
        edit(output_dir=out, datalist=str(datalist), **QUICK)
    assert sorted(p.name for p in out.iterdir() if p.is_dir()) == ["case0", "case2"]


@pytest.mark.slow  # with an edit beside: test_inference_command
def test_exit_code_of_the_bundle_command(tmp_path):
    head = write_head(tmp_path / "head")
    nib.save(nib.Nifti1Image(np.zeros(head.image.shape, np.uint8), head.image.affine), head.pathology)
    scan = ("--scan", str(head.scan), "--pathology", str(head.pathology), "--output_dir", "out")
    done = monai_run("inference", "inference.yaml", tmp_path, *scan)
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert done.stderr.strip().splitlines()[-1].startswith("mededit: ") and "is empty" in done.stderr


@pytest.mark.slow  # the sentence itself is that of test_bad_options
def test_an_unknown_option_by_monais_own_command(tmp_path):
    head = write_head(tmp_path / "head")
    scan = ("--scan", str(head.scan), "--pathology", str(head.pathology), "--output_dir", "out")
    done = monai_run("inference", "inference.yaml", tmp_path, *scan, "--resampel", "4")
    assert done.returncode == 2 and "did you mean --resample" in done.stderr


@pytest.mark.slow
def test_weights_that_are_not_there_by_monais_own_command(tmp_path):
    head = write_head(tmp_path / "head")
    scan = ("--scan", str(head.scan), "--pathology", str(head.pathology), "--output_dir", "out")
    done = monai_run("inference", "inference.yaml", tmp_path, *scan, "--weights", "none.pt")
    assert done.returncode == 2 and "weights not found" in done.stderr
