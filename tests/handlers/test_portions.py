# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Many samples are made, written and forgotten portion by portion, and come out as they would all at once."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from handlers.test_edit_writer import loaded

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.editing import collate_cases
from mededit_monai.handlers import portions
from mededit_monai.handlers.edit_batch import EditPrepareBatch
from mededit_monai.handlers.edit_writer import EditWriter
from mededit_monai.handlers.evaluator import EditEvaluator
from mededit_monai.handlers.sample_spread import Spread
from mededit_monai.methods.editor import Edit
from mededit_monai.sampling.noise import CaseNoise


class Noisy:
    """An editor that adds each row's own noise, and knows how many rows it was asked for and which still live."""

    def __init__(self, bad: int | None = None) -> None:
        self.bad, self.rows, self.made = bad, [], []

    def __call__(self, image, network, brain, pathology, region, seeds, shares=None, **_) -> Edit:
        gc.collect()
        assert all(one() is None for one in self.made), "what was made before is still held"
        if self.bad == len(self.rows):
            raise InputError("this portion cannot be made.")
        self.rows.append(len(seeds))
        noise = 0.1 * CaseNoise(seeds, image)() if shares is None else torch.tensor(shares).view(-1, 1, 1, 1)
        edit = torch.where(region > 0, (image + noise).clamp(-1, 1), image)
        self.made.append(weakref.ref(edit))
        return Edit(edit, region > 0, 3)


def run(out: Path, cases: list[dict], editor: Noisy, samples: int = 1, course: int = 0, **settings) -> EditWriter:
    writer = EditWriter(out, 3, samples, "residual", course=course, **settings)
    EditEvaluator(
        device="cpu",
        val_data_loader=[collate_cases(cases)],
        network=torch.nn.Identity(),
        inferer=editor,
        prepare_batch=EditPrepareBatch(3, samples, course),
        val_handlers=[writer],
        decollate=False,
        keep_going=settings.get("keep_going", False),
    ).run()
    return writer


def content(folder: Path) -> dict[str, object]:
    """Every file: its bytes, of JSON what it says but for the seconds; the list of a folder has the digests."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        if path.suffix == ".json" and path.name != ".mededit.json":
            facts = json.loads(path.read_text())
            found[str(path.relative_to(folder))] = {k: v for k, v in facts.items() if k not in ("seconds", "created")}
        elif path.is_file() and path.name != ".mededit.json":
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


@pytest.mark.parametrize("several", [{"samples": 5}, {"course": 5}], ids=str)
def test_the_same_files_however_many_at_a_time(tmp_path, monkeypatch, several):
    cases = [loaded(tmp_path, name, slice_index=index) for name, index in (("a", "auto"), ("b", "all"))]
    slices = sum(case["space"].rows for case in cases)
    found = {}
    for size in (8, 2):
        monkeypatch.setattr(portions, "PORTION", size)
        editor = Noisy()
        writer = run(tmp_path / f"of_{size}", cases, editor, **several)
        assert [one.name for one in writer.written] == ["a", "b"]
        assert editor.rows == ([5 * slices] if size == 8 else [2 * slices, 2 * slices, slices])
        found[size] = content(tmp_path / f"of_{size}")
    assert found[8].keys() == found[2].keys() and len(found[8]) > 40
    assert [name for name in found[8] if found[8][name] != found[2][name]] == []
    record = json.loads((tmp_path / "of_2" / "b" / "provenance.json").read_text())
    assert record["nfe"] == 3 and record["seconds"] >= 0


def test_ten_are_made_at_once():
    """As all were before there were portions: --samples 8 or 10 stays what it was, to the last bit, of any network."""
    assert portions.portions(1) == [range(1)] and portions.portions(10) == [range(10)]
    assert portions.portions(24) == [range(10), range(10, 20), range(20, 24)]


@pytest.mark.parametrize("keep_going", [True, False])
def test_nothing_stays_of_a_case_whose_second_portion_fails(tmp_path, monkeypatch, keep_going):
    monkeypatch.setattr(portions, "PORTION", 2)
    case = loaded(tmp_path, "a")
    writer = EditWriter(tmp_path / "out", 3, 5, "residual")
    if keep_going:
        writer = run(tmp_path / "out", [case], Noisy(bad=1), 5, keep_going=True)
        assert writer.failed == [{"case_id": "a", "failed": "this portion cannot be made."}]
    else:
        with pytest.raises(InputError, match="this portion cannot be made"):
            run(tmp_path / "out", [case], Noisy(bad=1), 5)
    assert writer.written == [] and list((tmp_path / "out").iterdir()) == []


def test_one_case_s_fault_is_not_the_other_s(tmp_path, monkeypatch):
    monkeypatch.setattr(portions, "PORTION", 2)
    cases = [loaded(tmp_path, name) for name in "ab"]

    class Broken(Noisy):
        def __call__(self, image, *arguments, **named) -> Edit:
            made = super().__call__(image, *arguments, **named)
            if len(self.rows) == 2:
                made.image[0] = torch.nan
            return made

    writer = run(tmp_path / "out", cases, Broken(), 3, keep_going=True)
    assert [one.name for one in writer.written] == ["b"] and [one["case_id"] for one in writer.failed] == ["a"]
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["b"]


def test_mean_and_spread_are_those_of_all_at_once():
    volumes = np.random.default_rng(0).normal(500, 90, (11, 7, 6, 5)).astype(np.float32)
    edits, spread = np.random.default_rng(1).random((11, 3, 9, 9), np.float32), Spread()
    for volume, edit in zip(volumes, edits):
        spread.add(volume, edit, edit > 0.9)
    mean, sd = spread.mean_and_sd()
    assert np.array_equal(mean, volumes.mean(0, dtype=np.float64).astype(np.float32)) and mean.dtype == np.float32
    assert np.array_equal(sd, volumes.std(0, dtype=np.float64).astype(np.float32))
    assert np.array_equal(spread.mean_edit, edits.mean(0)) and spread.mean_edit.dtype == np.float32
    assert np.array_equal(spread.region, (edits > 0.9).any(axis=0))
