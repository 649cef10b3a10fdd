# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the writer puts into a case's folder, for edits whose every voxel is known."""

from __future__ import annotations

import builtins
import gzip
import io
import json
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import write_head
from ignite.engine import Engine
from monai.transforms import Compose

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.editing import collate_cases, editing_cases
from mededit_monai.handlers import EditWriter, edit_previews, edit_writer
from mededit_monai.handlers.edit_batch import EditPrepareBatch
from mededit_monai.methods.editor import Edit
from mededit_monai.prepare.load import LoadCased
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.to_model import ToModelSpaced

OPTIONS = {"method": "mededit", "seed": 3}
CHANGE = 0.0625  # exact in half, single and double precision, below the blend of large changes


#: Of the volumes of these tests.
VOLUME = {"spatial_dims": 3, "depth": 60}


def loaded(folder: Path, name: str, axcodes: str = "RAS", slice_index: int | str = "auto", **head) -> dict:
    """A case on its way to the model, as the bundle's data loader makes it; a volume for the index ``volume``."""
    settings = VOLUME if slice_index == "volume" else {"slice_index": slice_index}
    written = write_head(folder / name, axcodes, **head)
    files = {"scan": str(written.scan), "pathology": str(written.pathology), "brain": None}
    others = {"datalist": None, "dataset_dir": None, "region": None, "shard": None}
    (case,) = editing_cases(**files, **others, output_dir=str(folder / "nowhere"), options=OPTIONS)
    return Compose([LoadCased(), ToModelSpaced(**settings, dilation=13)])(case | {"case_id": name})


def write(out: Path, cases: list[dict], edit, samples: int = 1, restore: str = "residual") -> EditWriter:
    """Run the writer in an engine; ``edit(prior, row)`` gives the row's edit in [0, 1]."""
    writer = EditWriter(out, seed=3, samples=samples, restore=restore)

    def step(engine, batch):
        image, _, _, keywords = EditPrepareBatch(3, samples)(batch)
        rows = [edit((image[row] + 1) / 2, row) for row in range(len(image))]
        region = keywords["region"] > 0
        made = Edit(torch.where(region, torch.stack(rows), (image + 1) / 2) * 2 - 1, region, evaluations=7)
        return {"image": image, "pred": made.image, "edit": made}

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
    return (case["space"].to_native(case["region"][:, 0].numpy(), (80, 100, 20)) > 0.999) & case["brain_volume"]


# --- voxels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slice_index", ["auto", "all", "volume"])
def test_a_constant_change_arrives_in_scan_units(tmp_path, slice_index):
    case = loaded(tmp_path, "a", slice_index=slice_index)
    writer = write(tmp_path / "out", [case], brighter)
    assert writer.written == [tmp_path / "out" / "a"]
    before, after = stored(case["scan"].path), stored(tmp_path / "out" / "a" / "edited.nii.gz")
    inside = interior(case)
    assert inside.sum() > 100 and after.dtype == before.dtype
    scale = np.zeros(before.shape[2])
    scale[case["slices"]] = case["ceilings"]
    wanted = np.rint(before + CHANGE * scale)[inside]
    assert np.abs(after[inside] - wanted).max() <= 1 and (after[inside] == wanted).mean() > 0.95  # ties
    region = stored(tmp_path / "out" / "a" / "edit_region.nii.gz")
    assert np.array_equal(after[region == 0], before[region == 0]) and region[inside].all()
    assert not region[~case["brain_volume"]].any()


@pytest.mark.parametrize("slice_index", ["auto", "volume"])
def test_no_change_is_the_same_scan(tmp_path, slice_index):
    case = loaded(tmp_path, "a", "LIA", slice_index=slice_index, dtype=np.float32)
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


def test_model_volume_is_the_edit_itself(tmp_path):
    case = loaded(tmp_path, "a", "PSR", slice_index="volume", rotation=8.0)
    write(tmp_path / "out", [case], brighter)
    names = {path.name for path in (tmp_path / "out" / "a").iterdir()}
    assert "edited_model.nii.gz" in names and "edited_slice.nii.gz" not in names
    image = nib.load(tmp_path / "out" / "a" / "edited_model.nii.gz")
    prior, region = case["image"][0, 0].numpy(), case["region"][0, 0].numpy() > 0
    assert image.shape == (128, 128, 60)
    assert np.abs(image.get_fdata() - prior - CHANGE * region).max() < 1e-6
    mask = nib.load(tmp_path / "a" / "pathology.nii.gz")
    lesions = (np.argwhere(case["pathology"][0, 0].numpy()).mean(0), np.argwhere(mask.get_fdata()).mean(0))
    model, scan = (nib.affines.apply_affine(one.affine, at) for one, at in zip((image, mask), lesions))
    assert model == pytest.approx(scan, abs=0.5)


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


@pytest.mark.slow
def test_volumes_reach_their_case_and_sample(tmp_path):
    """Two volumes of 2 samples each are rows 0, 1 and 2, 3."""
    cases = [loaded(tmp_path, name, slice_index="volume") for name in ("a", "b")]
    write(tmp_path / "out", cases, lambda prior, row: prior * 0 + 0.1 * (row + 1), samples=2)
    for number, case in enumerate(cases):
        for sample in range(2):
            model = stored(tmp_path / "out" / case["case_id"] / f"sample_{sample}" / "edited_model.nii.gz")
            inside = case["region"][0, 0].numpy() > 0
            assert model[inside] == pytest.approx(0.1 * (2 * number + sample + 1), abs=1e-5)


def test_the_region_written_is_the_edit_s_own(tmp_path):
    """A method that finds its region itself returns it, another one for every row."""
    case, samples = loaded(tmp_path, "a", slice_index="all"), 2
    count, own = len(case["slices"]), {}
    writer = EditWriter(tmp_path / "out", seed=3, samples=samples, restore="residual")

    def step(engine, batch):
        image, _, _, keywords = EditPrepareBatch(3, samples)(batch)
        region = keywords["region"] > 0
        for row in range(len(image)):
            region[row, :, : 60 + row] = False  # what is left begins further and further to the right
            own[row] = region[row, 0].numpy()
        made = Edit(torch.where(region, image + 0.1, image), region, evaluations=1)
        return {"image": image, "pred": made.image, "edit": made}

    engine = Engine(step)
    writer.attach(engine)
    engine.run([collate_cases([case])])
    for sample in range(samples):
        found = stored(tmp_path / "out" / "a" / f"sample_{sample}" / "edit_region.nii.gz") > 0
        rows = np.stack([own[sample * count + number] for number in range(count)])
        wanted = case["space"].to_native(rows, found.shape) > 0
        assert rows.any() and np.array_equal(found, wanted & case["brain_volume"])


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


def test_the_scan_is_opened_once(tmp_path, monkeypatch):
    """Every input file is read once on the way from the names to the results, whatever the samples."""
    head = write_head(tmp_path / "in")
    names = {key: str(getattr(head, key)) for key in ("scan", "pathology", "brain")}
    opened: list[str] = []
    originals: list[tuple] = []
    for place, name in ((Path, "read_bytes"), (nib, "load"), (builtins, "open"), (io, "open"), (gzip, "open")):
        original = getattr(place, name)

        def counted(path, *arguments, original=original, **keywords):
            with monkeypatch.context() as patch:  # what it calls itself is the same opening
                for one, word, plain in originals:
                    patch.setattr(one, word, plain)
                opened.extend([str(path)] if str(path) in names.values() else [])
                return original(path, *arguments, **keywords)

        originals.append((place, name, original))
        monkeypatch.setattr(place, name, counted)
    case = {"case_id": "a", **names, "files": names, "request": {"options": OPTIONS, "inputs": {}}}
    write(tmp_path / "out", [Compose([LoadCased(), ToModelSpaced(dilation=13)])(case)], brighter, samples=2)
    assert sorted(opened) == sorted(names.values())
    assert (tmp_path / "out" / "a" / "sample_1" / "edited.nii.gz").is_file()


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
    space, middle = case["space"], 1

    def kept(planes, path, title):
        shown.update(vars(planes[0]), title=title, count=len(planes))

    lesion = case["pathology"][:, 0].numpy()  # shares its memory
    space.planes(lesion)[middle, 30:90, 30:90] = 1  # one slice has more than its neighbours
    largest = int(space.planes(lesion).sum((1, 2)).argmax())
    assert largest == middle
    monkeypatch.setattr(edit_previews, "save_preview", kept)
    write(tmp_path / "out", [case], brighter)
    assert shown["count"] == 1
    for key in ("pathology", "region"):
        assert np.array_equal(shown[key], space.planes(case[key][:, 0].numpy())[largest] > 0), key
    assert np.abs(shown["prior"] - space.planes(case["image"][:, 0].numpy())[largest]).max() < 1e-6
    assert shown["title"].split() == ["a", "slice", str(round(space.heights[largest])), "mededit"]


def test_the_lesions_volume_on_a_sheared_grid(tmp_path):
    """Planes that a tilted gantry shifted against each other: a voxel keeps its 16 mm³, though its side is longer."""
    case = loaded(tmp_path, "a")
    sheared = case["scan"].affine.copy()
    sheared[1, 2] += 2.0
    case["scan"] = replace(case["scan"], affine=sheared)
    write(tmp_path / "out", [case], brighter)
    facts = json.loads((tmp_path / "out" / "a" / "provenance.json").read_bytes())
    assert facts["lesion_ml"] == pytest.approx(float(case["lesion_volume"].sum()) * 0.016, abs=1e-6)
