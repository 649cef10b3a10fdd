# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The training samples of context-aware MedEdit: what is hidden, what counts, and whose randomness it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gaussian import ALPHA_BAR, scheduler

from mededit_monai.training import ContextPrepareBatch, MaskConditionedPrepareBatch, build_training_inferer
from mededit_monai.training.context_batch import REGION_SHARES, random_region
from mededit_monai.transforms.conditions import condition_channels
from mededit_monai.transforms.masks import dilate


def batch(*seeds: int, size: tuple[int, ...] = (24, 20), regions: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 1, *size, generator=generator).repeat(len(seeds), *[1] * (len(size) + 1))
    brain, labels = torch.zeros_like(image), torch.zeros_like(image)
    brain[:, :, 3:-3, 2:-2] = 1
    labels[:, :, 6:10, 5:12] = 2
    labels[:, :, 7:9, 7:9] = 1
    labels[:, :, 9, 12] = 3
    data = {"image": image, "brain": brain, "pathology": (labels > 0).float(), "seed": torch.tensor(seeds)}
    return data | ({"regions": labels} if regions else {})


def parts(keywords: dict) -> tuple[torch.Tensor, ...]:
    """b, pathology channels, visible scan, M."""
    return keywords["condition"].split([1, 5, 1, 1], dim=1)


@pytest.mark.parametrize("size", [(24, 20), (24, 20, 12)])
def test_what_the_network_sees(size):
    """[x_t, b, p, scan with M at -1, M], x_t noised everywhere as the composed sampler has it."""
    data, diffusion, seen = batch(*range(6), size=size, regions=True), scheduler("v_prediction"), {}

    def network(x, timesteps, context=None):
        seen["x"] = x
        return x[:, :1]

    image, target, rest, keywords = ContextPrepareBatch(diffusion)(data)
    build_training_inferer("context", diffusion)(image, network, *rest, **keywords)
    a = torch.tensor(ALPHA_BAR[keywords["timesteps"].numpy()]).float().view(-1, *[1] * (image.ndim - 1))
    x_t, brain, pathology, visible, hidden = seen["x"].split([1, 1, 5, 1, 1], dim=1)
    assert torch.allclose(x_t, a.sqrt() * image + (1 - a).sqrt() * keywords["noise"], atol=1e-5)
    assert torch.equal(brain, data["brain"])
    assert torch.equal(visible, torch.where(hidden > 0, torch.tensor(-1.0), data["image"] * 2 - 1))
    assert torch.allclose(target[:, :1], a.sqrt() * keywords["noise"] - (1 - a).sqrt() * image, atol=1e-5)
    shown = pathology.amax(dim=1, keepdim=True) * data["brain"]
    assert shown.flatten(1).any(1).all() and (hidden >= shown).all() and (hidden <= data["brain"]).all()


def test_weights_by_hand():
    """√(all pixels / M's) inside, nothing outside; the lesion's own on top."""
    data = batch(1, 2, 3, 4)
    plain, heavy = ContextPrepareBatch(scheduler()), ContextPrepareBatch(scheduler(), lesion_weight=3.0)
    *_, keywords = plain(data)
    hidden = parts(keywords)[3]
    inside = (24 * 20 / hidden.flatten(1).sum(1)).sqrt().view(-1, 1, 1, 1)
    wanted = hidden * inside
    assert torch.allclose(plain(data)[1][:, 1:], wanted)
    assert torch.allclose(heavy(data)[1][:, 1:], wanted * (1 + 3 * data["pathology"]))


@pytest.mark.parametrize("regions, known", [(False, {"mask", "box"}), (True, {"mask", "box", "regions"})])
def test_every_condition_that_the_data_have(regions, known):
    data = batch(*range(200), regions=regions)
    pathology = parts(ContextPrepareBatch(scheduler())(data)[3])[1]
    wanted = {
        "mask": condition_channels(data["pathology"][0], "mask"),
        "box": condition_channels(data["pathology"][0], "box"),
        "regions": condition_channels(data.get("regions", data["pathology"])[0], "regions"),
    }
    first, counts = {"mask": 0, "box": 1, "regions": 2}, dict.fromkeys(wanted, 0)
    for channels in pathology:
        for name, own in wanted.items():
            filled = torch.zeros_like(channels)
            filled[first[name] : first[name] + len(own)] = own
            counts[name] += torch.equal(channels, filled)
    assert sum(counts.values()) == 200 and {name for name, count in counts.items() if count > 20} == known


def test_validation_has_the_condition_and_the_same_regions_every_time():
    data = batch(1, 2, 3, 4, regions=True)
    prepare = ContextPrepareBatch(scheduler(), condition="regions", even=True)
    _, target, _, first = prepare(data)
    torch.randn(3)
    _, again, _, second = prepare(data)
    assert torch.equal(target, again) and torch.equal(first["condition"], second["condition"])
    assert first["timesteps"].tolist() == [125, 375, 625, 875]
    pathology, hidden = parts(first)[1], parts(first)[3]
    assert torch.equal(pathology[:, 2:], torch.stack([condition_channels(m, "regions") for m in data["regions"]]))
    assert len({tuple(m.flatten().tolist()) for m in hidden}) > 1


def test_everything_random_belongs_to_the_case():
    prepare, state = ContextPrepareBatch(scheduler()), torch.get_rng_state()
    _, target, _, three = prepare(batch(2**62 + 1, 5, 9))
    assert torch.equal(torch.get_rng_state(), state)
    _, again, _, two = prepare(batch(9, 2**62 + 1))
    assert torch.equal(again, target[[2, 0]])
    for key in ("noise", "timesteps", "condition"):
        assert torch.equal(two[key], three[key][[2, 0]]), key


def test_noise_and_timesteps_are_those_of_the_composed_family():
    data = batch(3, 4, 5)
    _, wanted, _, composed = MaskConditionedPrepareBatch(scheduler())(data)
    _, target, _, own = ContextPrepareBatch(scheduler())(data)
    assert torch.equal(own["noise"], composed["noise"]) and torch.equal(own["timesteps"], composed["timesteps"])
    assert torch.equal(target[:, :1], wanted)


# --- regions ---------------------------------------------------------------------------------------------------------


def disc(size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A lesion in a round brain."""
    y, x = np.ogrid[:size, :size]
    return (y - 40) ** 2 + (x - 60) ** 2 < 36, (y - 48) ** 2 + (x - 48) ** 2 < 40**2


def test_regions_hold_the_lesion_and_stay_in_the_brain():
    lesion, brain = disc()
    shares = []
    for k in range(300):
        region = random_region(lesion, brain, np.random.default_rng(k))
        assert region.dtype == bool and not region[~brain].any() and region[lesion & brain].all()
        shares.append(region.sum() / brain.sum())
    whole = np.mean(np.array(shares) == 1)
    assert whole == pytest.approx(REGION_SHARES["brain"], abs=0.06)
    assert np.quantile(shares, 0.1) < 0.1 < 0.4 < np.quantile(shares, 0.85)  # small and large ones


def test_dilated_regions_are_those_of_an_edit():
    """More than half of all regions are dilate(p, k) ∩ b for some k, and every k from 0 to 40 is met."""
    lesion, brain = disc()
    mask = torch.from_numpy(lesion)[None, None]
    kernels = {dilate(mask, k)[0, 0].numpy()[brain].tobytes(): k for k in range(1, 41)}
    found = [kernels.get(random_region(lesion, brain, np.random.default_rng(k))[brain].tobytes()) for k in range(600)]
    met = [k for k in found if k is not None]
    assert len(met) / 600 == pytest.approx(REGION_SHARES["dilated"], abs=0.06)
    assert {*met} == {*range(1, 41)}


def test_without_lesion_or_brain():
    """Nothing to dilate: pieces of brain; no brain at all: nothing, and no error."""
    lesion, brain = disc()
    for k in range(50):
        region = random_region(np.zeros_like(lesion), brain, np.random.default_rng(k))
        assert region.any() and not region[~brain].any()
    assert not random_region(np.zeros_like(lesion), np.zeros_like(brain), np.random.default_rng(0)).any()
