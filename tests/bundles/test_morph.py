# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Editing by deformation and paint, end to end, with networks that were never trained."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import write_head

from mededit_monai import edit
from mededit_monai.cli.edit import _edited as load_place
from mededit_monai.methods.build import effects_network
from mededit_monai.networks.weights import save_weights
from mededit_monai.workflows import bundle_content


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A head with a lesion, and weights of every network, which move and paint at random."""
    folder = tmp_path_factory.mktemp("morph")
    head = write_head(folder / "head")
    networks = {f"effects_{dims}d": effects_network(dims, 1.82) for dims in (2, 3)}
    for dims in (2, 3):
        (networks[f"paint_{dims}d"],) = bundle_content("stroke", ("editing_network",), spatial_dims=dims)
    found = {"scan": head.scan, "pathology": head.pathology}
    for name, network in networks.items():
        torch.manual_seed(0)
        for parameter in network.unet.out.parameters():
            torch.nn.init.normal_(parameter, std=0.02 if name.startswith("paint") else 0.3)
        found[name] = folder / f"{name}.pt"
        save_weights(network, found[name])
    return found


def edited(files: dict[str, Path], out: Path, dims: int = 2, **options) -> tuple[np.ndarray, dict]:
    """Stored values of the edited scan, and the provenance; one slice, or the volume, which is the default."""
    given = {"weights": files[f"paint_{dims}d"]} | ({"slice_index": 10} if dims == 2 else {}) | options
    if given.get("effects", 1):
        given["effects_weights"] = files[f"effects_{dims}d"]
    (folder,) = edit(files["scan"], files["pathology"], out, **given)
    facts = json.loads((folder / "provenance.json").read_text())
    place = folder / "edited.nii.gz"
    return np.asarray(nib.load(place).dataobj.get_unscaled()) if place.is_file() else np.empty(0), facts


def stored(files: dict[str, Path]) -> np.ndarray:
    return np.asarray(nib.load(files["scan"]).dataobj.get_unscaled())


@pytest.mark.parametrize("dims", [2, 3])
def test_no_strength_and_no_paint_give_the_scan_s_own_bytes(dims, files, tmp_path):
    found, facts = edited(files, tmp_path, dims, effects=0, guidance=0, steps=2)
    assert found.dtype == stored(files).dtype and (found == stored(files)).all()
    assert facts["nfe"] == 2 and facts["options"]["effects_sha256"] is None
    assert (facts["options"]["method"], facts["options"]["spatial_dims"]) == ("morph", dims)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dims", [2, 3])
def test_what_moves_and_what_is_painted(dims, files, tmp_path):
    """One evaluation of the effects network more; everything that may differ lies in the edit region."""
    found, facts = edited(files, tmp_path, dims, steps=3)
    assert (facts["nfe"], facts["options"]["effects"]) == (4, 1.0) and len(facts["options"]["effects_sha256"]) == 64
    region = np.asarray(nib.load(tmp_path / "scan" / "edit_region.nii.gz").dataobj) > 0
    changed = found != stored(files)
    assert changed.any() and not (changed & ~region).any()
    painted, _ = edited(files, tmp_path / "still", dims, steps=3, effects=0)
    lesion = np.asarray(nib.load(files["pathology"]).dataobj) > 0
    assert (painted != stored(files))[lesion].any()
    assert changed.sum() > (painted != stored(files)).sum()  # tissue moved beyond the lesion and its rim


def test_other_methods_move_tissue_when_asked(files, tmp_path):
    """The same displacement, whoever paints; evaluations of the method and one more."""
    plain, before = edited(
        files, tmp_path / "plain", method="naive_repaint", weights=None, steps=3, resample=1, effects=0
    )
    moved, after = edited(
        files, tmp_path / "moved", method="naive_repaint", weights=None, steps=3, resample=1, effects=1
    )
    assert after["nfe"] == before["nfe"] + 1
    assert (moved != stored(files)).sum() > 2 * (plain != stored(files)).sum()


@pytest.mark.slow
def test_a_course_is_written_step_by_step(files, tmp_path):
    """From the scan's own bytes, where nothing is painted, to the single edit; the same noise at every step."""
    edited(files, tmp_path / "course", course=11, steps=1)
    folder = tmp_path / "course" / "scan"
    steps = [np.asarray(nib.load(folder / f"course_{k}" / "edited.nii.gz").dataobj.get_unscaled()) for k in range(11)]
    strengths = [json.loads((folder / f"course_{k}" / "effects.json").read_text())["strength"] for k in range(11)]
    assert strengths == pytest.approx(np.linspace(0, 1, 11))
    whole, _ = edited(files, tmp_path / "whole", steps=1)
    still, _ = edited(files, tmp_path / "still", steps=1, effects=0)
    assert (steps[0] == still).all() and (steps[-1] == whole).all()
    assert load_place(folder) == folder / "course_10" / "edited.nii.gz"


def test_labels_are_taken_along(files, tmp_path):
    """Files of the command line, each under its name, with the lesion's own label."""
    labels = np.asarray(nib.load(files["pathology"]).dataobj)
    edited(files, tmp_path, steps=1, carry=[files["pathology"]], lesion_label=9)
    carried = np.asarray(nib.load(tmp_path / "scan" / "carried" / files["pathology"].name).dataobj)
    assert (carried[..., 10][labels[..., 10] > 0] == 9).all() and set(np.unique(carried)) <= {0, 1, 9}


def test_a_sample_s_strength_is_its_own(files, tmp_path):
    edited(files, tmp_path / "three", samples=3, steps=1)
    samples = [nib.load(tmp_path / "three" / "scan" / f"sample_{k}" / "edited.nii.gz").get_fdata() for k in range(3)]
    assert len({one.tobytes() for one in samples}) == 3
    found = [tmp_path / "three" / "scan" / f"sample_{k}" / "effects.json" for k in range(3)]
    told = [json.loads(place.read_text()) for place in found]
    assert len({one["strength"] for one in told}) == 3 and len({one["spread_of_log_strength"] for one in told}) == 1
