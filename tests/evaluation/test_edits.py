# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Edits that are kept: what is looked up, what is made again, and that nothing changes on the way through the file."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.evaluation.controls import ControlEditor, evaluation_network, weights_identity
from mededit_monai.evaluation.edits import (
    EvaluationPrepareBatch,
    StoredEdit,
    StoredEdits,
    pending_cases,
    read_edit,
    with_requests,
    write_edit,
)
from mededit_monai.methods.editor import Edit
from mededit_monai.space.intensity import to_model_range, to_unit_range
from mededit_monai.space.masks import dilate


class Darker:
    """An "editor" that darkens p by 0.5 and counts its cases."""

    def __init__(self):
        self.seen: list[int] = []

    def region(self, brain, pathology):
        return pathology > 0

    def __call__(self, inputs, network, pathology, seeds, **facts):
        self.seen += list(seeds)
        return Edit(inputs - 0.5 * pathology, pathology > 0, 7)


def _batch(count: int = 4) -> dict:
    generator = torch.Generator().manual_seed(0)
    prior = to_model_range(to_unit_range(2 * torch.rand(count, 1, 8, 8, generator=generator) - 1))
    pathology = torch.zeros(count, 1, 8, 8)
    pathology[:, :, 2:4, 2:4] = 1
    names = [f"case_{k}" for k in range(count)]
    requests = [f"request {k}" for k in range(count)]
    facts = {"pathology": pathology, "cases": names, "requests": requests, "seeds": list(range(count))}
    return {"inputs": prior, "network": None, **facts}


def test_only_missing_edits_are_made_and_the_others_bytes_stay(tmp_path):
    batch, editor = _batch(), Darker()
    edits = StoredEdits(editor, tmp_path)
    edit = edits(**batch)
    first, darker = edit.image, Darker()(batch["inputs"], None, batch["pathology"], []).image
    assert edit.evaluations == 7 and torch.equal(edit.region, first != batch["inputs"])
    assert editor.seen == [0, 1, 2, 3] and torch.equal(to_unit_range(first), to_unit_range(darker).clamp(0, 1))
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("*.npz")}
    (tmp_path / "case_2.npz").unlink()
    editor.seen.clear()
    assert torch.equal(edits(**batch).image, first) and editor.seen == [2]
    found = {path.name: path.read_bytes() for path in tmp_path.glob("*.npz")}
    assert set(found) == set(kept) and all(found[n] == kept[n] for n in found if n != "case_2.npz")
    stored = read_edit(tmp_path / "case_2.npz")
    assert stored.nfe == 7 and stored.seconds > 0
    np.testing.assert_array_equal(stored.edit, to_unit_range(first)[2, 0].clamp(0, 1).numpy())


def test_what_is_not_edited_differs_by_exactly_nothing(tmp_path):
    batch = _batch()
    edited = to_unit_range(StoredEdits(Darker(), tmp_path)(**batch).image)
    outside = (batch["pathology"] == 0).expand_as(edited)
    assert torch.equal(edited[outside], to_unit_range(batch["inputs"])[outside])


def test_other_requests_and_broken_files_do_not_count(tmp_path):
    path = tmp_path / "a.npz"
    write_edit(path, StoredEdit(np.zeros((2, 2), np.float32), 3, 0.5), "one")
    assert read_edit(path, "one").nfe == 3 and read_edit(path, "two") is None and read_edit(path).seconds == 0.5
    path.write_bytes(path.read_bytes()[:100])
    assert read_edit(path, "one") is None and read_edit(tmp_path / "b.npz") is None
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_without_a_folder_nothing_is_kept(tmp_path):
    batch = _batch()
    darker = Darker()(batch["inputs"], None, batch["pathology"], [])
    assert torch.equal(StoredEdits(Darker(), None)(**batch).image, darker.image)


def _files(folder, count: int) -> list[dict]:
    cases = []
    for k in range(count):
        case = {"case_id": f"c{k}"}
        for key in ("prior", "brain", "pathology", "image"):
            case[key] = str(folder / f"{key}_{k}.nii")
            nib.save(nib.Nifti1Image(np.full((2, 2, 1), k, np.float32), np.eye(4)), case[key])
        cases.append(case)
    return cases


def test_a_request_follows_settings_and_bytes(tmp_path):
    cases, settings = _files(tmp_path, 2), {"steps": 5, "condition": "mask"}
    first = [case["request"] for case in with_requests(cases, settings)]
    assert len(set(first)) == 2 and first == [case["request"] for case in with_requests(cases, dict(settings))]
    assert first[0] != with_requests(cases, settings | {"steps": 6})[0]["request"]
    nib.save(nib.Nifti1Image(np.full((2, 2, 1), 9, np.float32), np.eye(4)), cases[0]["image"])
    assert [case["request"] for case in with_requests(cases, settings)] == first  # no edit depends on the truth …
    truth = settings | {"control": "truth"}
    before = with_requests(cases, truth)[0]["request"]
    nib.save(nib.Nifti1Image(np.full((2, 2, 1), 8, np.float32), np.eye(4)), cases[0]["image"])
    assert with_requests(cases, truth)[0]["request"] != before  # … but that which shows it
    nib.save(nib.Nifti1Image(np.full((2, 2, 1), 7, np.float32), np.eye(4)), cases[1]["prior"])
    changed = [case["request"] for case in with_requests(cases, settings)]
    assert changed[0] == first[0] and changed[1] != first[1]


def test_shards_part_the_cases_and_settings_that_differ_are_told(tmp_path, capsys):
    settings = {"steps": 5, "condition": "mask"}
    cases = with_requests(_files(tmp_path, 5), settings)
    folder = tmp_path / "edits"
    shares = [[c["case_id"] for c in pending_cases(cases, folder, f"{i}/2", settings)] for i in (1, 2)]
    assert shares == [["c0", "c2", "c4"], ["c1", "c3"]]
    write_edit(folder / "c2.npz", StoredEdit(np.zeros((2, 2), np.float32), 0, 0.0), cases[2]["request"])
    assert [c["case_id"] for c in pending_cases(cases, folder, None, settings)] == ["c0", "c1", "c3", "c4"]
    assert capsys.readouterr().err == ""
    other = settings | {"steps": 6}
    again = pending_cases(with_requests(cases, other), folder, None, other)
    assert len(again) == 5 and "was made with steps 5, now 6; its edits are made again." in capsys.readouterr().err
    assert pending_cases(cases, None, None, settings) == []
    with pytest.raises(InputError, match="--shard: got '1/2' without --edits_dir"):
        pending_cases(cases, None, "1/2", settings)


def test_controls():
    batch = _batch()
    brain = torch.ones_like(batch["inputs"])
    call = {"inputs": batch["inputs"], "network": None, "brain": brain, "pathology": batch["pathology"]}
    truth = batch["inputs"] / 2
    nothing = ControlEditor(Darker(), "no_edit")(**call, truth=truth, seeds=[])
    assert torch.equal(nothing.image, batch["inputs"]) and nothing.evaluations == 0
    assert torch.equal(ControlEditor(Darker(), "truth")(**call, truth=truth, seeds=[]).image, truth)
    untold = ControlEditor(Darker(), "without_lesion")
    edit = untold(**call, seeds=[])
    assert torch.equal(edit.image, batch["inputs"]) and edit.evaluations == 7  # p = 0: nothing gets darker
    region = untold.region(batch["pathology"], batch["pathology"])
    assert torch.equal(region, batch["pathology"] > 0)  # and yet the region is the lesion's
    assert not torch.equal(ControlEditor(Darker())(**call, seeds=[]).image, batch["inputs"])
    with pytest.raises(InputError, match="--control truth: the cases have no 'image'"):
        ControlEditor(Darker(), "truth")(**call)
    with pytest.raises(InputError, match="--control: got 'nothing'"):
        ControlEditor(Darker(), "nothing")


class OneSlice:
    """Darkens what it is told of by its seed in thousandths, and moves it; remembers what it was given."""

    def __call__(self, inputs, network, brain, pathology, seeds) -> Edit:
        self.shape, self.seeds = inputs.shape, seeds
        by = torch.tensor(seeds, dtype=torch.float32).view(-1, 1, 1, 1) / 1000
        image = inputs - by * pathology
        moved = torch.stack([pathology[:, 0], 2 * pathology[:, 0]], dim=1)
        extras = {"displacement": moved, "inverse": -moved, "displaced": inputs + 1, "painted": pathology > 0}
        return Edit(image, pathology > 0, 5, extras)


def test_volumes_are_edited_slice_by_slice_where_there_is_lesion():
    volume, lesion = torch.rand(2, 1, 8, 8, 6), torch.zeros(2, 1, 8, 8, 6)
    lesion[0, 0, 2:4, 3, 1:3] = 1
    lesion[1, 0, 5, 5, 4] = 1
    editor = OneSlice()
    control = ControlEditor(editor, "by_slice", 2.0)
    edit = control(volume, None, brain=torch.ones_like(volume), pathology=lesion, seeds=[100, 300], truth=volume)
    assert tuple(editor.shape) == (3, 1, 8, 8) and editor.seeds == [100, 100, 300]  # a case's slices share their noise
    by = torch.tensor([0.1, 0.3]).view(2, 1, 1, 1, 1)
    assert torch.equal(edit.image, volume - by * lesion) and torch.equal(edit.region, lesion > 0)
    moved = torch.cat([lesion, 2 * lesion, 0 * lesion], dim=1)  # nothing moves across slices
    assert torch.equal(edit.extras["displacement"], moved) and torch.equal(edit.extras["inverse"], -moved)
    told = lesion.flatten(1, 3).amax(dim=1)[:, None, None, None]
    assert torch.equal(edit.extras["displaced"], volume + told) and edit.evaluations == 5
    with pytest.raises(InputError, match="--control by_slice: the cases are slices, wanted volumes"):
        control(volume[..., 0], None, brain=volume[..., 0], pathology=lesion[..., 0], seeds=[1, 2])


def test_controls_without_network_need_no_weights():
    network = torch.nn.Linear(1, 1)
    assert isinstance(evaluation_network(network, Path("nowhere.pt"), "no_edit"), torch.nn.Identity)
    assert weights_identity(Path("nowhere.pt"), "truth") is None
    for control in (None, "without_lesion"):
        with pytest.raises(InputError, match="nowhere.pt: weights not found"):
            weights_identity(Path("nowhere.pt"), control)


def test_zones_are_the_same_for_every_method():
    pathology, brain = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    pathology[:, :, 8, 8], brain[:, :, :7] = 1, 0
    batch = {"prior": brain / 2, "brain": brain, "pathology": pathology, "case_id": ["a"], "request": ["r"]}
    _, _, _, facts = EvaluationPrepareBatch(Darker(), reference=5)(batch)
    assert torch.equal(facts["region"], pathology > 0)  # the method's own
    assert torch.equal(batch["reference_region"], dilate(pathology, 5) & (brain > 0))
    assert facts["cases"] == ["a"] and "truth" not in facts
