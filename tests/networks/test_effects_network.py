# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The effects network: identity where it must be, and the same field on any grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mededit_monai.core.errors import InputError
from mededit_monai.methods.effects import effects_channels
from mededit_monai.networks import Effects, EffectsNetwork
from mededit_monai.networks.effects_network import SPREAD, brain_box, gaussian_kernel, taper_weight
from mededit_monai.space.conditions import fused_channels
from mededit_monai.space.flow import determinant, pull
from mededit_monai.space.intensity import to_model_range
from mededit_monai.training.moved_cases import CropToBraind, padded_batches

SMALL = {"channels": (8, 16), "attention_levels": (False, False), "num_head_channels": 8, "norm_num_groups": 4}


def network(n: int, **more) -> EffectsNetwork:
    """A small one whose last layer is not zero, so that it moves something."""
    torch.manual_seed(0)
    made = EffectsNetwork(n, **{**SMALL, "pixel_mm": 1.8, "canvas": (48,) * n, **more}).eval()
    torch.nn.init.normal_(made.unet.out[2].conv.weight, std=0.4)
    return made


def case(size: tuple[int, ...], lesion: bool = True, shift: int = 0) -> torch.Tensor:
    """A ball as brain with a lesion beside its middle, 1x7xS."""
    grids = torch.meshgrid(*[torch.arange(float(side)) for side in size], indexing="ij")
    middle = [20.0 + shift, *[20.0] * (len(size) - 1)]
    away = sum((grid - m) ** 2 for grid, m in zip(grids, middle)).sqrt()
    brain = (away < 15).float()
    scan = torch.where(brain > 0, torch.sin(away), torch.tensor(-1.0))
    side = sum((grid - m - 4) ** 2 for grid, m in zip(grids, middle)).sqrt()
    mask = (side < 4).float() * lesion
    return torch.stack([scan, brain, mask, *[torch.zeros(size)] * 4])[None]


@pytest.mark.parametrize("n", [2, 3])
def test_a_new_network_moves_nothing_and_takes_one_tensor(n):
    made = EffectsNetwork(n, **SMALL)
    output = made(case((48,) * n))
    assert output.shape == (1, 2 * n + 1, *[24] * n)
    assert not output[:, :-1].any() and torch.allclose(output[:, -1], torch.tensor(math.log(SPREAD)))


@pytest.mark.parametrize("n", [2, 3])
def test_without_lesion_nothing_moves_by_definition(n):
    made, healthy = network(n), case((48,) * n, lesion=False)
    still = made.velocity(healthy)
    assert not still.velocity.any() and not still.spread.any()
    assert made.velocity(healthy, gated=False).velocity.any()
    assert made.velocity(case((48,) * n)).velocity.any()


@pytest.mark.parametrize("n", [2, 3])
def test_velocity_is_zero_outside_the_brain_and_small_at_its_surface(n):
    x = case((48,) * n)
    velocity = network(n).velocity(x).velocity[0]
    assert not velocity[:, x[0, 1] == 0].any()
    weight = torch.from_numpy(taper_weight(x[0, 1].numpy() > 0, 1.8))
    deep, shallow = velocity[:, weight == 1].abs().max(), velocity[:, (weight > 0) & (weight < 0.4)].abs().max()
    assert shallow < 0.75 * deep
    size = velocity.square().sum(dim=0).sqrt()
    assert ((size == 0) | (size > 1e-5)).all()  # exactly 0, not nearly


@pytest.mark.parametrize("size", [(48, 48), (41, 57), (40, 36), (100, 43)])
def test_the_grid_does_not_matter(size):
    """The network is shown the brain's box: background, also of odd sides or cut by the edge, changes nothing."""
    made = network(2)
    wanted = made.velocity(case((64, 64))).velocity[0, :, :36, :36]
    found = made.velocity(case(size)).velocity[0, :, :36, :36]
    assert torch.allclose(found, wanted, atol=1e-5) and found.any()


def test_a_case_does_not_depend_on_its_batch():
    made = network(2)
    one, other = case((64, 64)), case((64, 64), shift=9)
    other[0, 1, 40:] = 0  # another box
    together = made.velocity(torch.cat([one, other, one]), global_atrophy=[0.0, 0.5, 1.0])
    for k, (x, amount) in enumerate(((one, 0.0), (other, 0.5), (one, 1.0))):
        alone = made.velocity(x, global_atrophy=amount)
        assert torch.allclose(together.velocity[k], alone.velocity[0], atol=1e-5)
        assert torch.allclose(together.spread[k], alone.spread[0], atol=1e-6)
    assert not torch.allclose(together.velocity[0], together.velocity[2], atol=1e-3)  # G acts


def test_the_brain_moves_along_with_its_place():
    made = network(2)
    here, there = made.velocity(case((64, 64))).velocity, made.velocity(case((64, 64), shift=5)).velocity
    assert torch.allclose(here[0, :, :50], there[0, :, 5:55], atol=1e-5) and here.any()


def test_fields_are_smooth_whatever_the_weights():
    """Two neighbours differ by less than the Gaussian's steepest slope, 0.24/σ² of the raw range a step."""
    made = network(2, smooth_mm=5.0)
    x = case((64, 64))
    raw = {}
    made._smoothed, smooth = lambda fields: raw.setdefault("fields", fields), made._smoothed
    made(x)
    found = smooth(raw["fields"])
    sigma = 5.0 / 3.6
    assert found.diff(dim=2).abs().max() <= raw["fields"].abs().max() * 2 * 0.4 / sigma


@pytest.mark.parametrize("n", [2, 3])
def test_walls_begin_as_nothing_and_correct_near_what_they_see(n):
    plain, walled = network(n), network(n, wall_channels=8)
    own = dict(plain.state_dict())
    rest = {key: value for key, value in walled.state_dict().items() if key not in own or value.shape != own[key].shape}
    for key in ("unet.out.2.conv.weight", "unet.out.2.conv.bias"):
        cell = 2 * n * 2**n  # the fields' channels; between them and ln σ lie the features
        kept = rest[key].clone()
        kept[:cell], kept[-1:] = own[key][:cell], own[key][-1:]
        rest[key] = kept
    walled.load_state_dict(own | rest)
    x = case((48,) * n)
    with torch.no_grad():
        assert torch.equal(walled(x), plain(x))
        torch.nn.init.zeros_(walled.unet.out[2].conv.weight)
        torch.nn.init.normal_(walled.walls[-1].conv.weight, std=0.4)
        before = walled(x)
        x[(0, 0, *[4] * n)] += 1
        changed = (walled(x) - before)[:, : 2 * n].abs().amax(dim=(0, 1)) > 0
    assert changed[(slice(0, 14),) * n].any()
    changed[(slice(0, 14),) * n] = False  # 8 half pixels of the layers and 2 of the Gaussian from half pixel 2
    assert not changed.any()


def test_gaussian_kernel():
    kernel = gaussian_kernel(1.0)
    assert len(kernel) == 7 and kernel.sum() == pytest.approx(1, abs=1e-6)
    assert kernel[3] / kernel[2] == pytest.approx(math.exp(0.5), rel=1e-5)


def test_taper_weight_by_hand():
    """A strip of seven pixels of 2 mm: depths 2, 4, 6, 8, …; smoothstep of 0.4, 0.8, 1."""
    brain = np.zeros((11, 40), bool)
    brain[2:9] = True
    weight = taper_weight(brain, 2.0)[:, 20]
    assert weight[1] == 0 and weight[2] == pytest.approx(0.352) and weight[3] == pytest.approx(0.896)
    assert (weight[4:7] == 1).all() and weight[8] == pytest.approx(0.352)
    assert taper_weight(np.ones((5, 40), bool), 2.0)[0, 20] == pytest.approx(0.352)  # the grid's edge counts as outside


def test_brain_box_by_hand():
    brain = np.zeros((40, 40), bool)
    brain[10:27, 3:11] = True
    assert brain_box(brain, 16) == (slice(3, 35), slice(-1, 15)) and brain_box(np.zeros((4, 4), bool), 16) is None
    assert brain_box(brain, 16, (10, 41)) == (slice(3, 35), slice(-17, 31))


def test_canvas():
    assert EffectsNetwork(2, **SMALL).canvas == (128, 128) and EffectsNetwork(2, **SMALL, canvas=[64, 80]).canvas == (
        64,
        80,
    )
    with pytest.raises(InputError, match=r"canvas: got \[64\], wanted 2 sides in pixels"):
        EffectsNetwork(2, **SMALL, canvas=[64])


@pytest.mark.parametrize("n", [2, 3])
def test_a_training_shows_as_much_background_as_an_edit(n):
    """Else norms, which count it, would make another field of the same brain: it is so on the brain's own box."""
    made, x = network(n), case((48,) * n)
    shown: list[torch.Tensor] = []
    made.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    edited = made.velocity(x).spread
    planes = {"prior": (x[0, :1] + 1) / 2, "prior_brain": x[0, 1:2], "pathology": x[0, 2:3]}
    cut = CropToBraind(list(planes))(planes)
    large = CropToBraind(list(planes))({**planes, "prior_brain": torch.ones_like(planes["prior_brain"])})
    assert large["prior"].shape[1] > cut["prior"].shape[1]
    for cases in ([cut], [cut, large]):
        batch = padded_batches(made.multiple, made.canvas)(cases)
        told = fused_channels(batch["pathology"], "mask")
        trained = effects_channels(to_model_range(batch["prior"]), batch["prior_brain"], told)[:1]
        assert trained.shape == shown[0].shape
        first, wanted = (int(one[0, 1].nonzero()[0, 0]) for one in (trained, shown[0]))
        assert abs(wanted - first) <= 2  # margins are even
        moved = trained.roll((wanted - first,) * n, dims=tuple(range(2, 2 + n)))
        assert torch.allclose(moved, shown[0], atol=1e-6)
    tight = network(n, canvas=(16,) * n)
    assert tight.velocity(x).spread != pytest.approx(float(edited), rel=1e-3)


@pytest.mark.parametrize("n", [2, 3])
def test_strength_minus_one_is_the_inverse(n):
    made, x = network(n, smooth_mm=8.0), case((48,) * n)
    effects = made.velocity(x)
    effects = Effects(effects.velocity * (1.2 / effects.velocity.abs().max()), effects.spread, 1.8)
    there, back = effects.displacement(), effects.displacement(-1.0)
    assert there.abs().max() > 0.9 and float(determinant(there / 1.8).min()) > 0
    composed = there + pull(back, there / 1.8)
    assert composed.abs().max() < 0.1 * 1.8
    assert not there[:, :, x[0, 1] == 0].any() and not effects.displacement(0.0).any()


def test_strength_of_a_constant_velocity_is_a_translation():
    velocity = torch.zeros(2, 2, 64, 64)
    velocity[:, 0, 8:56, 8:56] = 1.5
    effects = Effects(velocity, torch.zeros(2), 1.5)
    found = effects.displacement([1.0, 3.0])
    assert torch.allclose(found[:, 0, 30:34, 30:34], torch.tensor([1.5, 4.5]).view(2, 1, 1).expand(2, 4, 4), atol=1e-5)
    assert not found[:, 1].any()


def test_sizes_that_do_not_go_together():
    with pytest.raises(InputError, match="--patch: got 3, wanted an even number"):
        EffectsNetwork(**SMALL, patch=3)
    with pytest.raises(InputError, match="^wall_channels: got -1, wanted 0"):
        EffectsNetwork(**SMALL, wall_channels=-1)
    with pytest.raises(InputError, match="--channels: got 10"):
        EffectsNetwork(**{**SMALL, "channels": (8, 10)})
