# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""MeshNet from TensorFlow.js files: closed form on a toy model; real files by ``MEDEDIT_MESHNET``, ``MEDEDIT_SCAN``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.judges.embedded import Judge, judge_network
from studies import ventricle_agreement, ventricles_meshnet
from studies.ventricle_agreement import agreement, main, report
from studies.ventricles_meshnet import lateral_classes, load_meshnet, segment_scan, segment_volume


def write_model(folder: Path, kernels: list[np.ndarray], biases: list[np.ndarray], dilations: list[int]) -> Path:
    """A TensorFlow.js model: convolutions with ELU between them."""
    layers = [{"class_name": "InputLayer", "config": {"name": "input"}}]
    entries, raw = [], b""
    for k, (kernel, bias, dilation) in enumerate(zip(kernels, biases, dilations)):
        config = {"name": f"conv_{k}", "strides": [1, 1, 1], "dilation_rate": [dilation] * 3, "padding": "same"}
        layers.append({"class_name": "Conv3D", "config": config | {"activation": "linear"}})
        if k < len(kernels) - 1:
            layers.append({"class_name": "Activation", "config": {"name": f"a{k}", "activation": "elu"}})
        for name, array in (("kernel", kernel), ("bias", bias)):
            entries.append({"name": f"conv_{k}/{name}", "shape": list(array.shape), "dtype": "float32"})
            raw += array.astype("<f4").tobytes()
    content = {"modelTopology": {"model_config": {"config": {"layers": layers}}}}
    content["weightsManifest"] = [{"paths": ["model.bin"], "weights": entries}]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(content))
    (folder / "model.bin").write_bytes(raw)
    return folder


def bright_is_ventricle(folder: Path) -> Path:
    """Class 3 where the voxel is above one half, else class 0."""
    kernel = np.zeros((1, 1, 1, 1, 4))
    kernel[..., 3] = 2
    return write_model(folder, [kernel], [np.array([1.0, -9, -9, 0])], [1])


def test_closed_form(tmp_path):
    # The first layer takes the neighbour two voxels up the first axis (dilation 2) times 3, minus 1; ELU; 2y and -y.
    kernel = np.zeros((3, 3, 3, 1, 1))
    kernel[2, 1, 1, 0, 0] = 3
    last = np.zeros((1, 1, 1, 1, 2))
    last[..., 0], last[..., 1] = 2, -1
    network = load_meshnet(write_model(tmp_path, [kernel, last], [np.array([-1.0]), np.zeros(2)], [2, 1]))
    volume = torch.rand(1, 1, 6, 5, 4)
    shifted = torch.zeros_like(volume)
    shifted[:, :, :4] = volume[:, :, 2:]
    value = torch.nn.functional.elu(3 * shifted - 1)
    with torch.inference_mode():
        found = network(volume)
    assert torch.allclose(found[:, 0], 2 * value[:, 0], atol=1e-6) and torch.allclose(
        found[:, 1], -value[:, 0], atol=1e-6
    )


def test_axes_are_not_exchanged(tmp_path):
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((3, 3, 3, 2, 3))
    first = rng.standard_normal((1, 1, 1, 1, 2))
    network = load_meshnet(write_model(tmp_path, [first, kernel], [np.zeros(2), np.zeros(3)], [1, 1]))
    assert np.allclose(network[-1].weight.detach()[2, 1, 0, 1, 2], kernel[0, 1, 2, 1, 2], atol=1e-6)


def test_cropping_changes_nothing_but_air(tmp_path):
    network = load_meshnet(bright_is_ventricle(tmp_path))
    volume = np.zeros((40, 40, 40), np.float32)
    volume[15:25, 16:24, 17:23], volume[18:20, 18:20, 18:20] = 0.4, 1.0
    labels = segment_volume(network, volume, margin=4)
    assert np.array_equal(labels == 3, volume == 1) and set(np.unique(labels)) == {0, 3}


@pytest.mark.parametrize("axcodes", ["RAS", "LIA", "PSR"])
def test_volume_on_the_scans_grid(tmp_path, monkeypatch, axcodes):
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    monkeypatch.setattr(ventricles_meshnet, "SIDE", 64)
    data = np.zeros((30, 34, 26), np.float32)
    data[5:25, 5:29, 5:21], data[10:16, 12:20, 9:15] = 100, 900
    affine = np.diag([2.0, 1.5, 2.0, 1.0])
    affine[:3, 3] = (-30, -25, -26)
    image = nib.Nifti1Image(data, affine)
    nib.save(image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(axcodes))), tmp_path / "s.nii.gz")
    labels, found = segment_scan(load_meshnet(bright_is_ventricle(tmp_path / "m")), tmp_path / "s.nii.gz")
    stored = nib.load(tmp_path / "s.nii.gz")
    assert labels.shape == stored.shape and np.allclose(found, stored.affine)
    ventricle = labels == 3
    assert ventricle.sum() * 6 == pytest.approx((data == 900).sum() * 6, rel=0.35)  # interpolation at the edges
    assert stored.get_fdata()[ventricle].mean() > 700


def test_names_of_the_classes(tmp_path):
    assert lateral_classes(tmp_path) == (3, 4)
    (tmp_path / "colormap.json").write_text(json.dumps({"labels": ["Unknown", "Lateral-Ventricle", "Thalamus"]}))
    assert lateral_classes(tmp_path) == (1,)


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match="model.json: not found"):
        load_meshnet(tmp_path)
    folder = bright_is_ventricle(tmp_path)
    (folder / "model.bin").write_bytes(b"1234")
    with pytest.raises(InputError, match="model.bin: has 4 bytes, wanted 32"):
        load_meshnet(folder)
    bright_is_ventricle(folder)
    content = json.loads((folder / "model.json").read_text())
    content["modelTopology"]["model_config"]["config"]["layers"].append({"class_name": "MaxPool3D", "config": {}})
    (folder / "model.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="has a layer MaxPool3D"):
        load_meshnet(folder)
    (folder / "model.json").write_text("{}")
    with pytest.raises(InputError, match="is no TensorFlow.js layers model"):
        load_meshnet(folder)


def test_agreement_by_hand():
    rows = [{"scan": s, "judge_mm2": 2.0 * v, "meshnet_mm2": v, "dice": 0.5} for s in "ab" for v in (1.0, 2.0, 3.0)]
    found = agreement(rows)
    assert found["r"] == pytest.approx(1) and found["slope"] == pytest.approx(2) and found["scans"] == 2
    assert found["difference_mm2"]["value"] == pytest.approx(2) and found["dice"]["value"] == 0.5
    assert found["dice_where_large"] is None
    rows[0] |= {"meshnet_mm2": 100.0, "dice": 0.8}
    assert agreement(rows)["dice_where_large"]["value"] == 0.8


@pytest.mark.slow
def test_report_on_a_scan(tmp_path, monkeypatch):
    data = np.zeros((60, 70, 40), np.float32)
    grid = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in data.shape), indexing="ij")
    data[sum((g / r) ** 2 for g, r in zip(grid, (27, 32, 18))) < 1] = 300
    data[sum((g / r) ** 2 for g, r in zip(grid, (6, 9, 6))) < 1] = 900
    scans = tmp_path / "scans"
    scans.mkdir()
    nib.save(nib.Nifti1Image(data, np.diag([2.5, 2.5, 3, 1])), scans / "one_brain.nii.gz")  # no mask: there is no "one"
    nib.save(
        nib.Nifti1Image(data + np.random.default_rng(0).random(data.shape, np.float32), np.diag([2.5, 2.5, 3, 1])),
        scans / "head.nii.gz",
    )  # not stripped, no mask

    class Seer(Judge):
        def segment(self, images):
            return {"ventricles": (np.asarray(images) > 0.6).astype(np.uint8)}

    judge = Seer("stroke", judge_network("stroke"), "seer")
    monkeypatch.setattr(ventricle_agreement, "load_judge", lambda *_: judge)
    monkeypatch.setattr(ventricle_agreement, "intensity_ceiling", lambda *_: 900.0)
    monkeypatch.setattr(ventricles_meshnet, "SIDE", 192)
    found = report(scans, bright_is_ventricle(tmp_path / "model"), tmp_path / "out", "stroke", None)
    assert found["scans"] == 1 and "head" in found["left_out"] and found["slices"] >= 10
    assert found["r"] > 0.9 and found["dice"]["value"] > 0.8
    wanted = {"agreement.json", "agreement.md", "agreement.png", ".mededit.json"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == wanted


def test_report_without_scans(tmp_path, capsys):
    bright_is_ventricle(tmp_path / "model")
    with pytest.raises(SystemExit) as stopped:
        main(["--scans", str(tmp_path), "--meshnet", str(tmp_path / "model"), "--weights", str(tmp_path)])
    assert stopped.value.code == 2 and "judge_stroke.pt: not found" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(
    not (os.environ.get("MEDEDIT_MESHNET") and os.environ.get("MEDEDIT_SCAN")),
    reason="needs MEDEDIT_MESHNET (folder of the 18-class model) and MEDEDIT_SCAN (a T1 scan)",
)
def test_plausible_volume_on_a_real_scan():
    folder, scan = os.environ["MEDEDIT_MESHNET"], os.environ["MEDEDIT_SCAN"]
    labels, affine = segment_scan(load_meshnet(folder), scan)
    millilitres = np.isin(labels, lateral_classes(folder)).sum() * abs(np.linalg.det(affine[:3, :3])) / 1000
    assert 5 < millilitres < 100
