# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A lesion painted on a grid finer than the model's, in the files: where, how bright, how noisy, in any orientation."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import write_head
from gaussian import ALPHA_BAR, scheduler
from ignite.engine import Engine
from monai.transforms import Compose

from mededit_monai.datasets.editing import collate_cases, editing_cases
from mededit_monai.handlers import EditWriter, edit_previews
from mededit_monai.handlers.edit_batch import EditPrepareBatch
from mededit_monai.methods.paint import CHANGE_SCALE
from mededit_monai.methods.paint_editor import PaintEditor
from mededit_monai.prepare.load import LoadCased
from mededit_monai.space.scanner_noise import noise_level
from mededit_monai.space.to_model import ToModelSpaced

#: Voxel sizes and shapes: 1 mm, finer, thick slices, coarse.
GRIDS = {
    "1 mm": ((1.0, 1.0, 1.0), (150, 180, 40)),
    "fine": ((0.6, 0.6, 0.8), (250, 300, 40)),
    "thick slices": ((1.0, 1.0, 5.0), (150, 180, 16)),
    "coarse": ((2.5, 2.5, 2.5), (60, 72, 30)),
}


class Level:
    """ŷ0 that brings every pixel to one level in [-1, 1]: an even cavity, without a scan's noise."""

    spatial_dims = 3

    def __init__(self, level: float) -> None:
        self.level = level

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        a = float(ALPHA_BAR[int(timesteps[0])])
        return (a**0.5 * x[:, :1] - (self.level - x[:, 7:8]) / CHANGE_SCALE) / (1 - a) ** 0.5


def edited(
    folder: Path, grid: str = "1 mm", axcodes: str = "RAS", samples: int = 1, draw_regions: bool = False, **more
) -> tuple[dict, Path]:
    """A head whose lesion was brought to 0.2 of the scan's range; the case and its folder of results."""
    spacing, shape = GRIDS[grid]
    written = write_head(folder / "in", axcodes, spacing=spacing, shape=shape, dtype=np.float32, **more)
    files = {"scan": str(written.scan), "pathology": str(written.pathology), "brain": None}
    others = {"datalist": None, "dataset_dir": None, "region": None, "shard": None}
    (case,) = editing_cases(**files, **others, output_dir=str(folder / "no"), options={"method": "morph", "seed": 3})
    way = ToModelSpaced(spatial_dims=3, region="brain", fine=True)
    case = Compose([LoadCased(), way])(case | {"case_id": "a"})
    writer = EditWriter(folder / "out", seed=3, samples=samples, restore="residual")
    editor = PaintEditor(scheduler("v_prediction"), steps=2, draw_regions=draw_regions, pixel_mm=1.6)

    def step(engine, batch):
        image, _, _, keywords = EditPrepareBatch(3, samples)(batch)
        made = editor(image, Level(-0.6), **keywords)
        case["drawn"] = made.extras.get("regions")
        return {"image": image, "pred": made.image, "edit": made}

    engine = Engine(step)
    writer.attach(engine)
    engine.run([collate_cases([case])])
    return case, folder / "out" / "a"


SHOWN: list[tuple] = []


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> tuple[dict, Path]:
    """The case on voxels of 1 mm and its results, its preview in ``SHOWN``; tests leave them as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edit_previews, "save_preview", lambda planes, path, title: SHOWN.append((planes, path)))
        return edited(tmp_path_factory.mktemp("plain"))


def ras(path: Path) -> np.ndarray:
    return nib.as_closest_canonical(nib.load(path)).get_fdata()


@pytest.mark.one_in(4)
@pytest.mark.parametrize("grid", GRIDS)
def test_the_lesion_gets_its_level_and_all_else_its_bytes(tmp_path, plain, grid):
    case, out = plain if grid == "1 mm" else edited(tmp_path, grid)
    before, after, region = case["scan"].data, ras(out / "edited.nii.gz"), ras(out / "edit_region.nii.gz") > 0
    lesion = case["lesion_volume"]
    assert np.array_equal(after[~region], before[~region]) and region[lesion].all()
    reach = np.argwhere(region)
    ends = (np.argwhere(lesion).min(0) - reach.min(0)) * case["scan"].spacing
    assert (ends < 10.1).all()  # the rim of 3.6 mm, and a point or two thick slices
    tolerance = 0.08 if grid in ("thick slices", "coarse") else 0.03
    assert after[lesion].mean() / case["ceilings"][0] == pytest.approx(0.2, abs=tolerance)
    facts = json.loads((out / "provenance.json").read_text())
    assert facts["paint_pixel_mm"] == pytest.approx(np.clip(min(GRIDS[grid][0]), 1, 2))


def test_paint_is_as_noisy_as_the_scan(plain):
    case, out = plain
    before, after = case["scan"].data, ras(out / "edited.nii.gz")
    planes = range(*np.flatnonzero(case["lesion_volume"].any(axis=(0, 1)))[[0, -1]])
    outside = [case["brain_volume"][:, :, z] & ~case["lesion_volume"][:, :, z] for z in planes]
    scan = noise_level([before[:, :, z] for z in planes], outside)
    paint = noise_level([after[:, :, z] for z in planes], [case["lesion_volume"][:, :, z] for z in planes])
    assert scan > 0 and paint == pytest.approx(scan, rel=0.15)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("axcodes", ["LPS", "PIR"])
def test_orientation_changes_nothing(tmp_path, plain, axcodes):
    _, first = plain
    _, other = edited(tmp_path / "other", axcodes=axcodes)
    assert np.abs(ras(first / "edited.nii.gz") - ras(other / "edited.nii.gz")).max() < 1e-3 * 1000


@pytest.mark.one_in(2)
@pytest.mark.parametrize("axcodes", ["RAS", "PIR"])
def test_regions_that_were_drawn_are_written_on_the_scan_s_grid(tmp_path, axcodes):
    """All of the lesion has a label, as many voxels of each as were drawn: voxels are the points painted on."""
    case, out = edited(tmp_path, axcodes=axcodes, draw_regions=True)
    stored = nib.load(out / "regions.nii.gz")
    assert (
        np.allclose(stored.affine, nib.load(out / "edited.nii.gz").affine)
        and b"synthetic" in stored.header["descrip"].item()
    )
    found, (drawn,) = ras(out / "regions.nii.gz"), case["drawn"]
    assert np.array_equal(found > 0, case["lesion_volume"])
    assert [np.sum(found == k) for k in (1, 2, 3)] == [np.sum(drawn == k) for k in (1, 2, 3)]


@pytest.mark.slow
def test_samples_have_their_own_noise(tmp_path):
    case, out = edited(tmp_path, samples=2)
    one, two = (ras(out / f"sample_{k}" / "edited.nii.gz") for k in range(2))
    assert not np.array_equal(one[case["lesion_volume"]], two[case["lesion_volume"]])
    outside = ras(out / "sample_0" / "edit_region.nii.gz") == 0
    assert np.array_equal(one[outside], two[outside])


def test_the_preview_shows_three_planes_of_the_scan_itself(plain):
    case, _ = plain
    (axial, coronal, sagittal), path = SHOWN[0]
    x, y, z = (int(case["lesion_volume"].sum(axis=tuple({0, 1, 2} - {k})).argmax()) for k in range(3))
    lesion, scan = case["lesion_volume"], case["scan"].data / case["ceilings"][0]
    for plane, at in ((axial, np.s_[:, :, z]), (coronal, np.s_[:, y]), (sagittal, np.s_[x])):
        assert np.array_equal(plane.pathology, lesion[at]) and np.allclose(plane.prior, np.clip(scan[at], 0, 1))
        assert plane.displacement is None and (plane.edit != plane.prior).any()
    assert path.name == "preview.png"
