# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Both scans of a pair get the same appearance: they stay equal where the lesion changed nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from monai.bundle import ConfigParser
from monai.transforms import Compose, RandAdjustContrast, RandAdjustContrastd
from scipy import ndimage

from mededit_monai.space.intensity import intensity_ceiling
from mededit_monai.training.pairs import Jointlyd, PairCeilingd

SIZE = 64
#: Pixels by which blur, low resolution and interpolation carry a change beyond its edge.
REACH = 9


def pair() -> dict:
    """A disc of smooth texture; the image also has a bright lesion, so that the two have other ranges."""
    rng = np.random.default_rng(0)
    grid = np.arange(SIZE) - (SIZE - 1) / 2
    brain = np.hypot(*np.meshgrid(grid, grid)) < 24
    texture = ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), 2)
    prior = np.where(brain, np.clip(0.5 + 0.15 * texture / texture.std(), 0.1, 0.8), 0)
    lesion = np.zeros((SIZE, SIZE), bool)
    lesion[28:34, 38:43] = True
    planes = {"image": np.where(lesion, 1.0, prior), "prior": prior, "prior_brain": brain}
    planes["pathology"] = lesion
    return {key: torch.from_numpy(plane[None].astype(np.float32)) for key, plane in planes.items()}


def augmentation(**options) -> Compose:
    """That of the overlay, with the shares given."""
    parser = ConfigParser()
    files = [
        REPOSITORY / "bundles" / "stroke" / "configs" / "train.yaml",
        REPOSITORY / "configs" / "paint.yaml",
    ]
    parser.read_config([str(file) for file in files])
    parser.update({"disease": "stroke", "image_keys": list(pair()), **options})
    return parser.get_parsed_content("train#augmentation")


NONE = {"flip": 0.0, "warp": 0.0, "contrast": 0.0, "bias": 0.0, "blur": 0.0, "noise": 0.0, "lesion_free_share": 0.0}


@pytest.mark.parametrize("kind", ["flip", "warp", "contrast", "bias", "blur", "noise", "all"])
def test_pairs_stay_equal_outside_the_change(kind):
    transform = augmentation(
        **{key: 1.0 if kind in (key, "all") and key != "lesion_free_share" else 0.0 for key in NONE}
    )
    changed = False
    for seed in range(8):
        transform.set_random_state(seed=seed)
        found = {key: value[0].numpy() for key, value in transform(dict(pair())).items()}
        near = ndimage.binary_dilation(found["pathology"] > 0, iterations=REACH)
        assert np.abs(found["image"] - found["prior"])[~near].max() <= 1e-6, (kind, seed)
        assert np.abs(found["image"] - found["prior"])[found["pathology"] > 0].mean() > 0.01
        for key in ("image", "prior"):
            assert found[key].min() >= 0 and found[key].max() <= 1 and not found[key][found["prior_brain"] == 0].any()
        given = pair()["prior"][0].numpy()
        room = (found["prior"].shape[0] - given.shape[0]) // 2  # a brain that is turned gets some
        assert room == (16 if kind in ("warp", "all") else 0)
        changed |= np.abs(found["prior"] - np.pad(given, room)).max() > 0.02
    assert changed


def test_ranges_of_their_own_would_part_the_pair():
    """What MONAI's dictionary transform does instead: the lesion changes the curve of everything."""
    apart = RandAdjustContrastd(["image", "prior"], prob=1.0, gamma=(1.5, 1.51))(dict(pair()))
    joint = Jointlyd(["image", "prior"], RandAdjustContrast(prob=1.0, gamma=(1.5, 1.51)))(dict(pair()))
    unchanged = pair()["pathology"] == 0
    assert (apart["image"] - apart["prior"])[unchanged].abs().max() > 0.05
    assert torch.equal(joint["image"][unchanged], joint["prior"][unchanged])


def test_no_augmentation_only_sets_the_ceiling():
    found = augmentation(**NONE)(dict(pair()))
    ceiling = intensity_ceiling(pair()["prior"].numpy(), 98.0)
    assert torch.allclose(found["prior"], (pair()["prior"] / ceiling).clamp(0, 1), atol=1e-6)
    assert torch.allclose(found["image"], (pair()["image"] / ceiling).clamp(0, 1), atol=1e-6)


def test_the_seed_decides():
    transform = augmentation(**{key: 1.0 for key in NONE if key != "lesion_free_share"})
    drawn = []
    for seed in (1, 2, 1):
        transform.set_random_state(seed=seed)
        drawn.append(transform(dict(pair()))["image"])
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])


def test_lesion_free_pairs_are_two_times_the_prior():
    found = augmentation(**{**NONE, "noise": 1.0, "bias": 1.0, "lesion_free_share": 1.0})(dict(pair()))
    assert torch.equal(found["image"], found["prior"]) and not found["pathology"].any()


# --- ceiling ----------------------------------------------------------------------------------------------------------


def test_the_ceiling_is_the_priors():
    brain = torch.ones(1, 10, 10)
    brain[0, 0, 0] = 0
    prior = torch.arange(100, dtype=torch.float32).reshape(1, 10, 10) / 10
    case = {"prior": prior, "image": prior / 2, "brain": brain, "prior_brain": brain}
    found = PairCeilingd("stroke")(case)
    ceiling = np.percentile(np.arange(100) / 10, 98)
    assert torch.allclose(found["prior"], (prior / ceiling).clamp(max=1)) and torch.allclose(
        found["image"], prior / 2 / ceiling
    )
