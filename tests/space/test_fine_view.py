# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a painter of volumes sees of a scan, before and after a displacement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mededit_monai.io.nifti import Volume
from mededit_monai.space.fine_view import FineEdit, FineView
from mededit_monai.space.model_space import ModelSpace
from mededit_monai.space.native_flow import native_flow
from mededit_monai.space.restore import DisplacedScan

SHAPE, CEILING = (90, 100, 80), 800.0


@pytest.fixture(scope="module")
def case() -> dict:
    """A noisy head of 1 mm with a lesion of two labels."""
    rng = np.random.default_rng(0)
    x, y, z = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    brain = (x[:, None, None] / 40) ** 2 + (y[:, None] / 45) ** 2 + (z / 36) ** 2 < 1
    data = np.where(brain, 500 + 30 * rng.standard_normal(SHAPE), 40).astype(np.float32)
    regions = np.zeros(SHAPE, np.uint8)
    regions[50:60, 50:62, 40:50] = 2
    regions[53:57, 54:58, 43:47] = 1
    scan = Volume(Path("head.nii"), data, np.eye(4), np.eye(4), SHAPE)
    return {"scan": scan, "brain": brain, "regions": regions, "pathology": regions > 0}


@pytest.fixture(scope="module")
def space(case) -> ModelSpace:
    return ModelSpace.around_brain(case["brain"], np.eye(4), depth=112)


def view_of(case: dict, space: ModelSpace, condition: str = "mask") -> FineView:
    return FineView.of(case, space, CEILING, condition)


def cut(view: FineView, volume: np.ndarray) -> np.ndarray:
    """A volume in the view's box, all of which lies in the head of these tests."""
    return volume[tuple(slice(s.start, s.start + n) for s, n in zip(view.box.voxels, view.box.shape))]


def test_it_shows_the_scan_within_the_brain(case, space):
    view = view_of(case, space)
    assert np.allclose(view.image, cut(view, case["scan"].data * case["brain"]) / CEILING, atol=1e-6)
    assert np.array_equal(view.inside, cut(view, case["brain"])) and not view.inside.all()
    assert np.array_equal(view.told[0] > 0, cut(view, case["pathology"]))
    image, inside, told = view.tensors(torch.zeros(1, dtype=torch.float64))
    assert image.dtype == told.dtype == torch.float64 and image.shape == (1, 1, *view.box.shape)
    assert torch.allclose(image[0, 0], 2 * torch.from_numpy(view.image).double() - 1) and inside.max() == 1


def test_regions_and_boxes_are_told_on_its_own_grid(case, space):
    core, edema, rim = view_of(case, space, "regions").told
    assert np.array_equal(core > 0, cut(view_of(case, space), case["regions"]) == 1) and edema.any() and not rim.any()
    (box,) = view_of(case, space, "box").told
    assert box.sum() == 10 * 12 * 10


def test_it_moves_as_the_scan_itself_does(case, space):
    displacement = np.zeros((3, *space.shape), np.float32)
    middle = tuple(np.rint(space.points_to_model(np.array([54.0, 55.0, 45.0]))).astype(int))
    displacement[0][tuple(slice(m - 4, m + 5) for m in middle)] = 2.5
    view = view_of(case, space).displaced_by(displacement)
    flow = native_flow(space, displacement[None], SHAPE)
    moved = DisplacedScan.of(case["scan"].data, flow, case["brain"])
    whole = np.stack([moved.on_slice(case["scan"].data[:, :, z], z)[0] for z in range(SHAPE[2])], axis=-1)
    assert np.allclose(view.image, cut(view, whole * case["brain"]) / CEILING, atol=1e-6)
    assert np.abs(view.image - view_of(case, space).image).max() > 0.02
    assert np.array_equal(view.flow.steps, flow.steps) and view.told is not None


def test_a_change_is_what_was_painted_alone(case, space):
    view = view_of(case, space)
    painted = view.told[0] > 0
    edit = FineEdit(view, np.where(painted, 0.1, view.image + 0.5).astype(np.float32), painted)
    assert np.array_equal(edit.change != 0, painted)
    assert np.allclose(edit.change[painted], 0.1 - view.image[painted])
