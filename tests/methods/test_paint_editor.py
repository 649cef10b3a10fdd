# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The painter: its samples against closed form, and what must stay the displaced scan bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gaussian import ALPHA_BAR, ar1, clean_matrix, log_snr, propagated_hole, scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import Volume
from mededit_monai.methods.paint import CHANGE_SCALE, paint_region
from mededit_monai.methods.paint_editor import PaintEditor
from mededit_monai.networks import MaskConditionedUNet
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.fine_view import FineView
from mededit_monai.space.model_space import ModelSpace

WIDTH = 16
COVARIANCE = ar1(WIDTH)
SHIFT = np.linspace(-0.3, 0.5, WIDTH)  # m(scan) = SHIFT + 0.4 scan


def build(**settings) -> PaintEditor:
    return PaintEditor(scheduler("v_prediction"), **{"clip": None, **settings})


class ExactPaint:
    """
    The optimal v for rows y0 ~ N(m(scan), Σ) in the brain's 16 columns; noise of its own elsewhere, where nothing is
    trained. Remembers what it was shown.
    """

    spatial_dims = 2

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        a, y, scan = ALPHA_BAR[int(timesteps[0])], x[:, 0].double().numpy(), x[:, 7].double().numpy()
        columns = np.flatnonzero(x[0, 1].any(dim=0).numpy())
        mean = SHIFT + 0.4 * scan[..., columns]
        clean = np.random.default_rng(0).normal(size=y.shape)
        clean[..., columns] = mean + (y[..., columns] - np.sqrt(a) * mean) @ clean_matrix(COVARIANCE, a).T
        return torch.from_numpy((np.sqrt(a) * y - clean) / np.sqrt(1 - a))[:, None].to(x.dtype)


class Same:
    """ŷ0 of one value whatever the network sees, behind a v-prediction."""

    spatial_dims = 2

    def __init__(self, value: float) -> None:
        self.value, self.shapes = value, []

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(x.shape))
        a = float(ALPHA_BAR[int(timesteps[0])])
        return (a**0.5 * x[:, :1] - self.value) / (1 - a) ** 0.5


# --- closed form -----------------------------------------------------------------------------------------------------


def strip(cases: int) -> dict[str, torch.Tensor]:
    """Scans that are the same along the rows; a brain 16 columns wide, all of it lesion or rim."""
    profile = torch.tensor(np.random.default_rng(3).uniform(-1, 1, 128), dtype=torch.float32)
    brain, lesion = torch.zeros(2, cases, 1, 128, 128)
    brain[..., 40:56], lesion[..., 42:54] = 1, 1
    return {"inputs": profile.expand(cases, 1, 128, 128).contiguous(), "brain": brain, "pathology": lesion}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("kind", ["ddim", "ddpm", "dpm2m"])
@pytest.mark.parametrize("steps", [4, 10])
def test_mean_and_covariance_are_those_of_the_recursion(kind, steps):
    """8192 rows of 16 pixels, painted by the exact denoiser: what any sampler makes of them is known."""
    case, network = strip(64), ExactPaint()
    edit = build(steps=steps, sampler=kind)(network=network, seeds=list(range(64)), **case)
    assert network.seen[0].shape == (32, 8, 128, 64)  # a box, not the slice; in portions
    change = ((edit.image - case["inputs"]) / CHANGE_SCALE)[..., 40:56].double().numpy().reshape(-1, WIDTH)
    mean = SHIFT + 0.4 * case["inputs"][0, 0, 0, 40:56].double().numpy()
    wanted_mean, wanted = propagated_hole(mean, COVARIANCE, log_snr(steps), kind)
    assert (np.abs(change.mean(0) - wanted_mean) < 5 * np.sqrt(np.diag(wanted) / len(change))).all()
    assert np.linalg.norm(np.cov(change.T) - wanted) < 0.06 * np.linalg.norm(wanted)


def test_the_default_reaches_the_true_distribution():
    """Ten levels of second order keep mean and spread of the target within a few percent."""
    mean, covariance = propagated_hole(SHIFT, COVARIANCE, log_snr(10), "dpm2m")
    assert np.abs(mean - SHIFT).max() < 0.01
    assert np.abs(np.sqrt(np.diag(covariance)) / 0.5 - 1).max() < 0.05
    assert (build().sampler_type.__name__, len(build().levels)) == ("DPM2M", 10)


# --- what stays ------------------------------------------------------------------------------------------------------


def brain_case(size: int = 96, depth: int = 0) -> dict[str, torch.Tensor]:
    """Two scans with lesions of different sizes, at different places."""
    generator = torch.Generator().manual_seed(1)
    shape = (2, 1, size, size, *([depth] if depth else []))
    brain, lesion = torch.zeros(2, *shape)
    brain[:, :, 4:-4, 4:-4] = 1
    scan = torch.where(brain > 0, 2 * torch.rand(shape, generator=generator) - 1, torch.tensor(-1.0))
    lesion[0, :, 20:25, 30:40] = 1
    lesion[1, :, 4:62, 60:80] = 1
    if depth:
        lesion[..., 0] = 0
        lesion[0, ..., -2:] = 0
    return {"inputs": scan, "brain": brain, "pathology": lesion}


def small_network(spatial_dims: int = 2) -> MaskConditionedUNet:
    torch.manual_seed(0)
    size = {"channels": (8, 16), "attention_levels": (False, False), "norm_num_groups": 4, "num_head_channels": 8}
    network = MaskConditionedUNet(spatial_dims, 8, 1, **size)
    for parameter in network.unet.out.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


@pytest.mark.parametrize("kind", ["ddim", "ddpm", "dpm2m"])
def test_nothing_but_the_painted_region_changes(kind):
    case = brain_case()
    edit = build(steps=3, sampler=kind, clip=(-1, 1))(network=small_network(), seeds=[1, 2], **case)
    assert torch.equal(edit.region, paint_region(case["pathology"], case["brain"]))
    assert torch.equal(edit.image != case["inputs"], edit.region)
    assert edit.image.abs().max() <= 1


def test_a_limit_is_kept_and_without_lesion_nothing_is_painted():
    case = brain_case()
    limit = torch.zeros_like(case["brain"])
    limit[..., :35] = 1
    edit = build(steps=2)(network=Same(0.5), seeds=[1, 2], region=limit, **case)
    assert torch.equal(edit.image != case["inputs"], edit.region)
    assert torch.equal(edit.region, paint_region(case["pathology"], case["brain"]) & (limit > 0))
    healthy = case | {"pathology": torch.zeros_like(case["pathology"])}
    edit = build(steps=2)(network=Same(0.5), seeds=[1, 2], **healthy)
    assert torch.equal(edit.image, case["inputs"]) and not edit.region.any() and edit.evaluations == 0


@pytest.mark.parametrize(("strength", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (2.0, 2.0)])
def test_guidance_is_the_strength_of_the_paint(strength, share):
    case = brain_case()
    edit = build(steps=3, guidance=strength)(network=Same(0.3), seeds=[1, 2], **case)
    change = (edit.image - case["inputs"])[edit.region]
    assert change.numpy() == pytest.approx(CHANGE_SCALE * 0.3 * share, abs=1e-6)
    assert edit.evaluations == 3  # whatever the strength


def test_the_counterfactual_stays_in_range():
    case = brain_case()
    for change, bound in ((9.0, 1.0), (-9.0, -1.0)):
        edit = build(steps=3, clip=(-1, 1))(network=Same(change), seeds=[1, 2], **case)
        assert (edit.image[edit.region] == bound).all()


# --- network, boxes, noise -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("condition", "channel"), [("mask", 2), ("box", 3), ("regions", 4)])
def test_what_the_network_sees(condition, channel):
    """[y_t, b, mask, boxes, core, edema, rim, displaced scan], cut out around the region."""
    case, seen = {key: one[:1] for key, one in brain_case().items()}, []
    width = 3 if condition == "regions" else 1
    case["pathology"] = torch.cat([case["pathology"] * k for k in (1, 0, 0)], dim=1)[:, :width]

    def network(x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return torch.zeros_like(x[:, :1])

    build(steps=2, condition=condition)(network=network, seeds=[1], **case)
    box = (..., slice(0, 64), slice(3, 67))  # rows 18-27, columns 28-42 are painted
    for x in seen:
        assert x.shape == (1, 8, 64, 64)
        assert torch.equal(x[:, 1:2], case["brain"][box]) and torch.equal(x[:, 7:], case["inputs"][box])
        assert torch.equal(x[:, channel : channel + width], case["pathology"][box])
        assert x[:, 2:7].sum() == case["pathology"].sum()
    assert torch.equal(seen[0][:, :1], CaseNoise([1], case["inputs"])()[box])
    with pytest.raises(InputError, match="--condition: got 'boxes'"):
        build(condition="boxes")


def test_noise_stays_noise_where_nothing_is_painted():
    """y_t = σ_t z outside the region, at every level: there y0 is 0."""
    case, network = strip(1), ExactPaint()
    build(steps=5, sampler="ddim")(network=network, seeds=[3], **case)
    z = CaseNoise([3], case["inputs"])()[0, 0, :, 16:80]
    outside = network.seen[0][0, 1] == 0
    for x, t in zip(network.seen, reversed(log_snr(5))):
        sigma = (1 - ALPHA_BAR[t]) ** 0.5
        start = (1 - ALPHA_BAR[999]) ** 0.5
        assert torch.allclose(x[0, 0][outside], z[outside] * float(sigma / start), atol=1e-5)


def test_a_case_is_the_same_in_any_batch_and_order():
    case, editor, network = brain_case(), build(steps=3, sampler="ddpm"), small_network()
    together = editor(network=network, seeds=[11, 12], **case)
    turned = editor(network=network, seeds=[12, 11], **{key: one.flip(0) for key, one in case.items()})
    assert torch.equal(together.image, turned.image.flip(0))
    assert together.evaluations == 3  # boxes of two sizes are asked apart, and are no more evaluations of a case
    for k, seed in enumerate((11, 12)):
        alone = editor(network=network, seeds=[seed], **{key: one[k : k + 1] for key, one in case.items()})
        assert torch.equal(alone.image[0], together.image[k])


def test_exact_runs_are_the_same_bytes_in_any_batch():
    case, network = brain_case(), small_network()
    case = {key: one[:1].expand(3, -1, -1, -1) for key, one in case.items()}
    together = build(steps=3, exact=True)(network=network, seeds=[1, 2, 1], **case).image
    alone = build(steps=3)(network=network, seeds=[1], **{key: one[:1] for key, one in case.items()}).image
    assert torch.equal(together[:1], alone) and torch.equal(together[2:], alone)
    assert not torch.equal(together[1:2], alone)


def test_a_volume_is_painted_slice_by_slice_by_a_network_for_slices():
    """As its slices alone with the case's seed, which is the same noise in all; each slice its own box."""
    case, network = brain_case(depth=5), small_network()
    volume = build(steps=3, exact=True)(network=network, seeds=[11, 12], **case)
    assert volume.image.shape == case["inputs"].shape and volume.evaluations == 3
    assert torch.equal(volume.image != case["inputs"], volume.region)
    for z in range(5):
        plane = {key: one[..., z] for key, one in case.items()}
        alone = build(steps=3, exact=True)(network=network, seeds=[11, 12], **plane)
        assert torch.equal(volume.region[..., z], alone.region) and torch.equal(volume.image[..., z], alone.image)
    assert not volume.region[..., 0].any() and not volume.region[0, ..., -2:].any()  # no lesion, no rim


def test_a_volume_is_painted_as_a_whole_by_a_network_for_volumes():
    case, seen = brain_case(size=80, depth=64), []

    def network(x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        seen.append(x.shape)
        return torch.zeros_like(x[:, :1])

    build(steps=2)(network=network, seeds=[1, 2], **case)
    assert set(seen) == {(1, 8, 64, 64, 64), (1, 8, 80, 64, 64)}


# --- whole volumes ---------------------------------------------------------------------------------------------------


class Flat(Same):
    """:class:`Same` for volumes."""

    spatial_dims = 3


def test_a_network_for_volumes_paints_the_whole_lesion_at_once():
    case = brain_case(depth=32)
    edit = build(steps=3, clip=(-1, 1))(network=small_network(3), seeds=[1, 2], **case)
    assert torch.equal(edit.region, paint_region(case["pathology"], case["brain"]))
    assert torch.equal(edit.image != case["inputs"], edit.region) and edit.evaluations == 3
    assert edit.region[0, ..., 0].any() and edit.region[0, ..., -2].any()  # the rim goes on above and below the lesion


def test_large_volumes_are_seen_in_windows_of_the_same_noise(monkeypatch):
    """A network that looks at single voxels gives the same in windows as at once: no seam, no other noise."""
    case = brain_case(96, 64)
    whole = build(steps=3)(network=Flat(0.4), seeds=[1, 2], **case)
    monkeypatch.setattr("mededit_monai.methods.editor.WINDOW", 48)
    network = Flat(0.4)
    windows = build(steps=3)(network=network, seeds=[1, 2], **case)
    assert max(max(shape[2:]) for shape in network.shapes) == 48 and len(network.shapes) > 3 * 4
    assert torch.allclose(windows.image, whole.image, atol=1e-5) and windows.evaluations == whole.evaluations == 3


class Told(Flat):
    """Remembers what it was told of the lesion: mask, boxes, core, edema, rim."""

    def __init__(self) -> None:
        super().__init__(0.4)
        self.told: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        self.told.append(x[:, 2:7])
        return super().__call__(x, timesteps)


def test_regions_that_are_drawn_are_what_the_network_is_told_and_the_edit_says():
    views, case = fine_views()
    network, settings = Told(), {"steps": 2, "draw_regions": True, "pixel_mm": 1.6}
    edit = build(**settings)(network=network, seeds=[1, 2], fine=views, **case)
    for view, labels, told in zip(views, edit.extras["regions"], network.told[::2]):
        assert np.array_equal(labels > 0, view.told[0] > 0)  # all of the lesion, and nothing else
        assert np.array_equal(told[0, 2:].numpy(), [labels == label for label in (1, 2, 3)])
        assert not told[0, :2].any()
    alone = build(**settings)(network=Told(), seeds=[2], fine=views[1:], **{key: one[1:] for key, one in case.items()})
    assert np.array_equal(alone.extras["regions"][0], edit.extras["regions"][1])
    other = build(**settings)(network=Told(), seeds=[3, 4], fine=views, **case)
    assert not np.array_equal(other.extras["regions"][0], edit.extras["regions"][0])


def test_regions_are_drawn_on_the_model_s_grid_too():
    case, network = brain_case(depth=32), Told()
    edit = build(steps=1, draw_regions=True, pixel_mm=1.6)(network=network, seeds=[1, 2], **case)
    assert np.array_equal(np.stack(edit.extras["regions"]) > 0, case["pathology"][:, 0].numpy() > 0)
    assert "regions" not in build(steps=1)(network=Told(), seeds=[1, 2], **case).extras


@pytest.mark.parametrize("settings", [{"condition": "regions", "pixel_mm": 1.0}, {"pixel_mm": None}])
def test_regions_are_drawn_in_masks_of_a_known_scale(settings):
    with pytest.raises(ValueError, match="draw_regions wants masks and pixel_mm"):
        build(draw_regions=True, **settings)


def fine_views(count: int = 2) -> tuple[list[FineView], dict[str, torch.Tensor]]:
    """Views of heads of 1 mm, and the same on the model's grid."""
    views, rows = [], []
    for number in range(count):
        brain = np.zeros((120, 130, 110), bool)
        brain[8:112, 8:122, 8:102] = True
        lesion = np.zeros_like(brain)
        lesion[60 : 72 + 4 * number, 50:66, 40:52] = True
        data = np.where(brain, 500 + 40 * np.random.default_rng(number).standard_normal(brain.shape), 0)
        scan = Volume(Path("a.nii"), data.astype(np.float32), np.eye(4), np.eye(4), brain.shape)
        space = ModelSpace.around_brain(brain, np.eye(4), depth=112)
        found = {"scan": scan, "brain": brain, "pathology": lesion}
        views.append(FineView.of(found, space, 1000.0, "mask"))
        planes = {"inputs": data / 500 - 1, "brain": brain, "pathology": lesion}
        kinds = {"inputs": "intensity", "brain": "brain", "pathology": "mask"}
        rows.append({key: torch.from_numpy(space.to_model(one, kinds[key])).float() for key, one in planes.items()})
    return views, {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


@pytest.mark.slow
def test_views_are_painted_on_their_own_grid():
    views, case = fine_views()
    edit = build(steps=2)(network=Flat(0.4), seeds=[1, 2], fine=views, **case)
    for view, fine in zip(views, edit.extras["fine"]):
        told = torch.from_numpy(view.told)[None]
        assert np.array_equal(fine.painted, paint_region(told, torch.ones_like(told), 4)[0, 0].numpy())  # 3.6 mm
        # 0.4 of y0 is 0.4 * s in [-1, 1], half of it in [0, 1]
        assert np.allclose(fine.change[fine.painted], 0.4 * CHANGE_SCALE / 2, atol=1e-5)
    change = (edit.image - case["inputs"])[case["pathology"] > 0]
    assert torch.allclose(change, torch.tensor(0.4 * CHANGE_SCALE), atol=0.01)
    assert not (edit.image != case["inputs"])[~edit.region].any() and edit.evaluations == 2


@pytest.mark.slow
def test_a_view_gets_the_same_paint_in_any_company():
    views, case = fine_views()
    network = small_network(3)
    both = build(steps=2, clip=(-1, 1))(network=network, seeds=[1, 2], fine=views, **case)
    alone = {key: tensor[1:] for key, tensor in case.items()}
    one = build(steps=2, clip=(-1, 1))(network=network, seeds=[2], fine=views[1:], **alone)
    assert np.array_equal(both.extras["fine"][1].edit, one.extras["fine"][0].edit)
    assert torch.equal(both.image[1:], one.image)


@pytest.mark.slow
def test_a_scan_on_the_model_s_grid_leaves_the_others_their_views():
    views, case = fine_views()
    network, settings = small_network(3), {"steps": 2, "clip": (-1, 1)}
    mixed = build(**settings)(network=network, seeds=[1, 2], fine=[views[0], None], **case)
    parts = [{key: tensor[k : k + 1] for key, tensor in case.items()} for k in (0, 1)]
    seen = build(**settings)(network=network, seeds=[1], fine=views[:1], **parts[0])
    plain = build(**settings)(network=network, seeds=[2], **parts[1])
    assert np.array_equal(mixed.extras["fine"][0].edit, seen.extras["fine"][0].edit) and mixed.extras["fine"][1] is None
    assert torch.equal(mixed.image[:1], seen.image) and torch.equal(mixed.image[1:], plain.image)
    assert mixed.evaluations == plain.evaluations == seen.evaluations
