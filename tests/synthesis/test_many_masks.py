# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A synthesis from many masks: one that cannot be used is noted, and the others are done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from promises.verbs import mededit, tree  # noqa: F401
from synthesis.heads import label_array, write_label

from mededit_monai.core.errors import InputError, SomeFailed
from mededit_monai.networks import save_weights
from mededit_monai.workflows import bundle_content, synthesize

BUNDLE = REPOSITORY / "bundles" / "semantic_synthesis"
SIZES = {"channels": [8, 8, 8], "norm_num_groups": 4, "num_head_channels": 8, "side": 32, "depth": 32}
SIZES |= {"window_mm": 192, "steps": 2, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A toy network, without training."""
    place = tmp_path_factory.mktemp("weights") / "toy.pt"
    torch.manual_seed(0)
    save_weights(bundle_content(BUNDLE, ("network_def",), weights=place, **SIZES)[0], place)
    return place


@pytest.fixture()
def masks(tmp_path, monkeypatch) -> Path:
    """A list whose first case is empty, whose second is missing, and whose third and fourth can be used."""
    monkeypatch.chdir(tmp_path)
    write_label(Path("empty.nii.gz"), np.zeros_like(label_array()))
    write_label(Path("good.nii.gz"), label_array())
    write_label(Path("other.nii.gz"), label_array(), axcodes="LPS")
    names = ("empty", "missing", "good", "other")
    Path("list.json").write_text(json.dumps([{"case_id": name, "label": f"{name}.nii.gz"} for name in names]))
    return Path("list.json")


def failures(out: Path) -> dict[str, str]:
    return {one["case_id"]: one["failed"] for one in json.loads((out / "failed.json").read_text())}


def words(options: dict) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", json.dumps(value).strip('"'))]


def test_the_others_are_done(masks, weights, mededit):  # noqa: F811
    with pytest.raises(SomeFailed, match="2 of 4 cases failed, the others are done; out/failed.json lists them"):
        synthesize(output_dir="out", datalist=str(masks), weights=weights, **SIZES)
    assert {path.name for path in Path("out").iterdir()} == {"good", "other", "failed.json", ".mededit.json"}
    found = failures(Path("out"))
    assert "is empty" in found["empty"] and "missing.nii.gz: not found (--mask)" in found["missing"]
    made = nib.load("out/good/t1.nii.gz").get_fdata()
    before = tree(Path("out"))
    with pytest.raises(SomeFailed, match="2 of 4 cases failed"):  # again: nothing new
        synthesize(output_dir="out", datalist=str(masks), weights=weights, **SIZES)
    assert tree(Path("out")) == before
    for name in ("empty", "missing"):
        write_label(Path(f"{name}.nii.gz"), label_array())
    synthesize(output_dir="out", datalist=str(masks), weights=weights, **SIZES)
    assert not Path("out/failed.json").exists() and Path("out/empty/t1.nii.gz").is_file()
    (alone,) = synthesize("good.nii.gz", "alone", weights=weights, **SIZES)
    assert np.array_equal(nib.load(alone / "t1.nii.gz").get_fdata(), made)  # the same beside cases that failed


def test_the_verb_says_so(masks, weights, mededit, monkeypatch):  # noqa: F811
    from mededit_monai import workflows

    run = workflows.synthesize
    monkeypatch.setattr(workflows, "synthesize", lambda **given: run(**given | {"weights": weights, **SIZES}))
    done = mededit("synthesize", "--datalist", masks, "-o", "out", "--json")
    assert done.refused("2 of 4 cases failed, the others are done", "failed.json"), done.said
    assert "mededit: empty: " in done.err and "mededit: missing: " in done.err
    answer = json.loads(done.out)
    assert answer["written"] == ["out/good", "out/other"]
    assert [one["case_id"] for one in answer["failed"]] == ["empty", "missing"]


def test_the_bundle_s_command_says_so(masks, weights):
    run = [sys.executable, "-m", "monai.bundle", "run", "inference", "--bundle_root", str(BUNDLE)]
    run += ["--config_file", str(BUNDLE / "configs" / "inference.yaml"), "--datalist", str(masks)]
    given = words({"output_dir": "out", "weights": str(weights), **SIZES, "device": "$torch.device('cpu')"})
    done = subprocess.run([*run, *given], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and "2 of 4 cases failed, the others are done" in done.stderr, done.stderr[-2000:]
    assert set(failures(Path("out"))) == {"empty", "missing"} and Path("out/other/t1.nii.gz").is_file()


def test_where_it_does_not_go_on(masks, weights):
    with pytest.raises(InputError, match="empty.nii.gz: is empty|missing.nii.gz: not found"):
        synthesize(output_dir="out", datalist=str(masks), weights=weights, keep_going=False, **SIZES)
    with pytest.raises(InputError, match="--keep_going: got False with a single mask"):
        synthesize("good.nii.gz", "out", weights=weights, keep_going=False, **SIZES)
    Path("bad.json").write_text(json.dumps([{"case_id": name, "label": f"{name}.nii"} for name in "ab"]))
    with pytest.raises(InputError, match="a.nii: not found .* None of the 2 cases can be synthesized"):
        synthesize(output_dir="out", datalist="bad.json", weights=weights, **SIZES)
    assert not Path("out").exists()
    Path("out").mkdir()
    Path("out/failed.json").write_text("mine")
    with pytest.raises(InputError, match="failed.json: is there already and was not written by mededit"):
        synthesize(output_dir="out", datalist=str(masks), weights=weights, **SIZES)
    assert {path.name for path in Path("out").iterdir()} == {"failed.json"}


def test_as_a_dataset(masks, weights):
    with pytest.raises(SomeFailed, match="2 of 4 cases failed"):
        synthesize(output_dir="out", datalist=str(masks), weights=weights, layout="bids", **SIZES)
    assert {path.name for path in Path("out").glob("sub-*")} == {"sub-good", "sub-other"}
    assert set(failures(Path("out/sourcedata/mededit"))) == {"empty", "missing"}


def test_many_samples_are_made_in_portions(masks, weights, monkeypatch):
    """The same, but for the seconds, however many are made at a time."""
    from mededit_monai.handlers import portions
    from mededit_monai.synthesis.sampler import MaskToVolume

    asked, call = [], MaskToVolume.__call__

    def counted(self, inputs, network, seeds):
        asked.append(len(seeds))
        return call(self, inputs, network, seeds)

    monkeypatch.setattr(MaskToVolume, "__call__", counted)
    found = {}
    for size in (8, 2):
        monkeypatch.setattr(portions, "PORTION", size)
        (out,) = synthesize("good.nii.gz", f"of_{size}", weights=weights, samples=5, **SIZES)
        found[size] = [np.asarray(nib.load(out / f"sample_{k}" / "t1.nii.gz").dataobj) for k in range(5)]
        facts = [json.loads((out / f"sample_{k}" / "provenance.json").read_text()) for k in range(5)]
        assert len({one["case_seed"] for one in facts}) == 5 and [one["sample"] for one in facts] == list(range(5))
    assert asked == [5, 2, 2, 1]
    assert all(np.allclose(one, other, atol=1e-5) for one, other in zip(found[8], found[2]))
