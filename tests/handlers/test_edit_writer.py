# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the writer puts into a case's folder, for edits whose every voxel is known."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import write_head
from ignite.engine import Engine
from monai.transforms import Compose

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.editing import collate_cases, editing_cases
from mededit_monai.handlers import EditWriter, edit_writer
from mededit_monai.handlers.edit_batch import EditPrepareBatch
from mededit_monai.prepare.load import LoadCased
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.slices import AxialSlicesd

OPTIONS = {"method": "mededit", "seed": 3}
CHANGE = 0.0625  # exact in half, single and double precision, below the blend of large changes


def loaded(folder: Path, name: str, axcodes: str = "RAS", slice_index: int | str = "auto", **head) -> dict:
    """A case on its way to the model, as the bundle's data loader makes it."""
    written = write_head(folder / name, axcodes, **head)
    files = {"scan": str(written.scan), "pathology": str(written.pathology), "brain": None}
    others = {"datalist": None, "dataset_dir": None, "region": None, "shard": None}
    (case,) = editing_cases(**files, **others, output_dir=str(folder / "nowhere"), options=OPTIONS)
    return Compose([LoadCased(), AxialSlicesd(slice_index, dilation=13)])(case | {"case_id": name})


def write(out: Path, cases: list[dict], edit, samples: int = 1, restore: str = "residual") -> EditWriter:
    """Run the writer in an engine; ``edit(prior, row)`` gives the row's edit in [0, 1]."""
    writer = EditWriter(out, SimpleNamespace(nfe=7), seed=3, samples=samples, restore=restore)

    def step(engine, batch):
        image, _, _, keywords = EditPrepareBatch(3, samples)(batch)
        rows = [edit((image[row] + 1) / 2, row) for row in range(len(image))]
        changed = torch.where(keywords["region"] > 0, torch.stack(rows), (image + 1) / 2)
        return {"image": image, "pred": changed * 2 - 1}

    engine = Engine(step)
    writer.attach(engine)
    engine.run([collate_cases(cases)])
    return writer


def brighter(prior: torch.Tensor, row: int) -> torch.Tensor:
    return prior + CHANGE


def stored(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def record(folder: Path) -> dict:
    return json.loads((folder / "provenance.json").read_text())


def interior(case: dict) -> np.ndarray:
    """Native voxels all of whose model neighbours lie in the region, where a constant change arrives unweakened."""
    plane = case["grid"].to_native(case["region"][0, 0].numpy(), (80, 100)) > 0.999
    mask = np.zeros((80, 100, 20), bool)
    mask[:, :, case["slices"][0]] = plane
    return mask & case["brain_volume"]


# --- voxels ----------------------------------------------------------------------------------------------------------


def test_a_constant_change_arrives_in_scan_units(tmp_path):
    case = loaded(tmp_path, "a")
    writer = write(tmp_path / "out", [case], brighter)
    assert writer.written == [tmp_path / "out" / "a"]
    before, after = stored(case["scan"].path), stored(tmp_path / "out" / "a" / "edited.nii.gz")
    inside = interior(case)
    assert inside.sum() > 100 and after.dtype == before.dtype
    wanted = np.rint(before[inside] + CHANGE * case["ceilings"][0])
    assert np.abs(after[inside] - wanted).max() <= 1 and (after[inside] == wanted).mean() > 0.99
    region = stored(tmp_path / "out" / "a" / "edit_region.nii.gz")
    assert np.array_equal(after[region == 0], before[region == 0]) and region[inside].all()
    assert not region[~case["brain_volume"]].any()


def test_no_change_is_the_same_scan(tmp_path):
    case = loaded(tmp_path, "a", "LIA", dtype=np.float32)
    write(tmp_path / "out", [case], lambda prior, row: prior)
    assert np.array_equal(stored(tmp_path / "out" / "a" / "edited.nii.gz"), stored(case["scan"].path))


def test_model_slice_is_the_edit_itself(tmp_path):
    case = loaded(tmp_path, "a")
    write(tmp_path / "out", [case], brighter)
    image = nib.load(tmp_path / "out" / "a" / "edited_slice.nii.gz")
    prior, region = case["image"][0, 0].numpy(), case["region"][0, 0].numpy() > 0
    assert np.abs(image.get_fdata()[..., 0] - prior - CHANGE * region).max() < 1e-6
    lesion = np.argwhere(case["pathology"][0, 0].numpy()).mean(0)
    world = image.affine @ [*lesion, 0, 1]
    # the head's lesion is (38, -8) mm from its middle, (-1, -1); its slices are 4 mm thick, the first at -30 mm
    assert world[:3] == pytest.approx([37, -9, -30 + 4 * case["slices"][0]], abs=1.0)


def test_outside_the_brain_is_composited_back(tmp_path):
    """Even an edit region of the whole image leaves what is not brain alone."""
    case = loaded(tmp_path, "a")
    case["region"] = torch.ones_like(case["region"])
    write(tmp_path / "out", [case], lambda prior, row: prior * 0 + 0.9, restore="replace")
    before, after = stored(case["scan"].path), stored(tmp_path / "out" / "a" / "edited.nii.gz")
    assert np.array_equal(after[~case["brain_volume"]], before[~case["brain_volume"]])
    z = case["slices"][0]
    assert (after != before)[:, :, z].any() and not (after != before)[:, :, np.arange(20) != z].any()
    model = stored(tmp_path / "out" / "a" / "edited_slice.nii.gz")[..., 0]
    brain = case["brain"][0, 0].numpy() > 0
    assert model[brain] == pytest.approx(0.9, abs=1e-6) and not model[~brain].any()


@pytest.mark.parametrize("restore", ["replace", "residual"])
def test_native_texture_is_replaced_or_kept(tmp_path, restore):
    """A small change to one level all over: ``replace`` leaves nothing but the level, ``residual`` keeps the grain."""
    case = loaded(tmp_path, "a", dtype=np.float32)
    level = float(case["image"][case["pathology"] > 0].median())
    write(tmp_path / "out", [case], lambda prior, row: prior * 0 + level, restore=restore)
    inside, ceiling = interior(case), case["ceilings"][0]
    after = stored(tmp_path / "out" / "a" / "edited.nii.gz")[inside] / ceiling
    assert np.isclose(after, level, atol=1e-4).mean() == (1.0 if restore == "replace" else pytest.approx(0, abs=0.2))
    assert np.median(after) == pytest.approx(level, abs=0.05)


def test_saturated_voxels_are_reported(tmp_path):
    case = loaded(tmp_path, "a", dtype=np.uint8, slope=4.0)
    write(tmp_path / "out", [case], lambda prior, row: prior + 2)
    _, warning = record(tmp_path / "out" / "a")["warnings"]  # the first: that one slice alone was edited
    count = (stored(tmp_path / "out" / "a" / "edited.nii.gz") == 255 * 4).sum()
    assert warning == f"{count} voxels exceeded the stored data type and were saturated."


@pytest.mark.parametrize("change, said", [(0.4, True), (-0.4, False)])
@pytest.mark.parametrize("disease", ["stroke", "tumor"])
def test_a_stroke_that_came_out_no_darker_than_the_brain_is_said(tmp_path, change, said, disease):
    case = loaded(tmp_path, "a")
    case["request"]["options"] = OPTIONS | {"disease": disease}
    lesion = case["pathology"][0]
    write(tmp_path / "out", [case], lambda prior, row: prior + change * lesion)
    found = [w for w in record(tmp_path / "out" / "a")["warnings"] if "no darker than the brain" in w]
    assert bool(found) == (said and disease == "stroke")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_edit_that_is_not_finite_is_refused(tmp_path, value):
    case = loaded(tmp_path, "a")
    with pytest.raises(InputError, match="a: the network gave NaN or infinite values in .* so nothing was written"):
        write(tmp_path / "out", [case], lambda prior, row: prior * value)
    assert not (tmp_path / "out" / "a").exists()


# --- rows of a batch -------------------------------------------------------------------------------------------------


def test_each_row_reaches_its_case_and_sample(tmp_path):
    """Two cases of 3 and 1 slices, 2 samples each: rows 0-2, 3-5, then 6 and 7; the edit's level tells the row."""
    several = loaded(tmp_path, "several", "PSR", slice_index="all")
    single = loaded(tmp_path, "single", slice_index="auto")
    count = len(several["slices"])
    assert count > 2
    level = {}

    def edit(prior, row):
        level[row] = 0.02 + 0.05 * row
        return prior * 0 + level[row]

    write(tmp_path / "out", [several, single], edit, samples=2)
    for case, first, slices in ((several, 0, count), (single, 2 * count, 1)):
        for sample in range(2):
            folder = tmp_path / "out" / case["case_id"] / f"sample_{sample}"
            model = stored(folder / "edited_slice.nii.gz")
            for number in range(slices):
                inside = case["region"][number, 0].numpy() > 0
                row = first + sample * slices + number
                assert model[..., number][inside] == pytest.approx(level[row], abs=1e-5), (case["case_id"], row)
            assert record(folder)["case_seed"] == case_seed(3, case["case_id"], sample)
            assert record(folder)["sample"] == sample and record(folder)["slices"] == case["slices"]


def test_mean_and_deviation_of_the_samples(tmp_path):
    """Samples at +c and +3c: mean +2c, standard deviation c (of the population), in scan units."""
    case = loaded(tmp_path, "a", dtype=np.float32)
    step = 0.03125
    write(tmp_path / "out", [case], lambda prior, row: prior + step * (1 + 2 * row), samples=2)
    folder, inside = tmp_path / "out" / "a", interior(case)
    before, mean, sd = stored(case["scan"].path), stored(folder / "mean.nii.gz"), stored(folder / "sd.nii.gz")
    ceiling = case["ceilings"][0]
    assert mean[inside] - before[inside] == pytest.approx(2 * step * ceiling, abs=0.01)
    assert sd[inside] == pytest.approx(step * ceiling, abs=0.01)
    region = stored(folder / "sample_0" / "edit_region.nii.gz")
    assert not sd[region == 0].any() and np.allclose(mean[region == 0], before[region == 0])
    assert {p.name for p in folder.iterdir()} == {
        *("sample_0", "sample_1", "mean.nii.gz", "sd.nii.gz", "preview.png", "provenance.json", ".mededit.json")
    }
    assert "case_seed" not in record(folder)  # of the samples, not of their mean


# --- folders ---------------------------------------------------------------------------------------------------------


def test_what_is_recorded(tmp_path):
    case = loaded(tmp_path, "a")
    case["warnings"] = ["a warning of the loader"]

    def slow(prior, row):
        time.sleep(0.05)
        return brighter(prior, row)

    write(tmp_path / "out", [case], slow)
    found = record(tmp_path / "out" / "a")
    assert found["synthetic"] is True and found["case_id"] == "a" and found["nfe"] == 7
    assert found["options"] == OPTIONS and set(found["inputs"]) == {"scan", "pathology"}
    assert found["files"]["scan"] == str(case["scan"].path) and found["brain_source"] == "background"
    assert found["slices"] == case["slices"] and found["model_pixel_mm"] == 233 / 128
    assert found["case_seed"] == case_seed(3, "a", 0) and found["warnings"] == ["a warning of the loader"]
    assert 0.05 <= found["seconds"] < 30


@pytest.mark.parametrize("before", [True, False])
def test_a_failed_write_leaves_the_old_folder(tmp_path, monkeypatch, before):
    case, out = loaded(tmp_path, "a"), tmp_path / "out"
    if before:
        write(out, [dict(case)], brighter)
        old = {p.name: p.read_bytes() for p in (out / "a").iterdir()}

    def interrupted(*arguments):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(edit_writer, "write_provenance", interrupted)
        with pytest.raises(OSError, match="no space"):
            write(out, [dict(case)], lambda prior, row: prior * 0)
    if before:
        assert {p.name: p.read_bytes() for p in (out / "a").iterdir()} == old
    else:
        assert not (out / "a").exists()
    write(out, [dict(case)], lambda prior, row: prior * 0)
    assert [p.name for p in out.iterdir()] == ["a"]  # nothing unfinished or old is left beside it
    assert not before or (out / "a" / "edited.nii.gz").read_bytes() != old["edited.nii.gz"]


def test_preview_shows_the_slice_with_the_most_lesion(tmp_path, monkeypatch):
    case, shown = loaded(tmp_path, "a", slice_index="all"), {}

    def kept(prior, edit, pathology, region, path, title):
        shown.update(prior=prior, edit=edit, pathology=pathology, region=region, title=title)

    case["pathology"][1, 0, 60:64, 60:64] = 1  # one slice has more than its neighbours
    largest = int(case["pathology"].sum((1, 2, 3)).argmax())
    monkeypatch.setattr(edit_writer, "edit_preview", kept)
    write(tmp_path / "out", [case], brighter)
    for key in ("pathology", "region"):
        assert np.array_equal(shown[key], case[key][largest, 0].numpy() > 0), key
    assert np.abs(shown["prior"] - case["image"][largest, 0].numpy()).max() < 1e-6
    assert shown["title"].split() == ["a", "slice", str(case["slices"][largest]), "mededit"]
