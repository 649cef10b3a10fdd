# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from mededit_monai.training.lesion_free import RandLesionFreed


def case(*keys: str) -> dict:
    """Tensors filled with numbers of their own, so that it shows which one came out."""
    values = {"image": 0.2, "brain": 1.0, "pathology": 0.7, "prior": 0.4, "prior_brain": 0.9}
    return {key: torch.full((1, 2, 2), values[key]) for key in ("image", "brain", "pathology", *keys)}


def value(tensor: torch.Tensor) -> float:
    assert (tensor == tensor.ravel()[0]).all()
    return round(float(tensor.ravel()[0]), 3)


@pytest.mark.parametrize(
    "keys, wanted",
    [
        (("prior", "prior_brain"), {"image": 0.4, "brain": 0.9, "pathology": 0.0}),
        (("prior",), {"image": 0.4, "brain": 1.0, "pathology": 0.0}),
        ((), {"image": 0.2, "brain": 1.0, "pathology": 0.0}),  # no pair: only the condition is dropped
    ],
)
def test_the_case_without_its_lesion(keys, wanted):
    given = case(*keys) | {"case_id": "a"}
    freed = RandLesionFreed(prob=1.0)(given)
    assert freed.pop("case_id") == "a"
    assert {key: value(tensor) for key, tensor in freed.items()} == wanted
    assert value(given["pathology"]) == 0.7 and value(given["image"]) == 0.2  # the cached case is left as it was


@pytest.mark.parametrize("keys", [("prior", "prior_brain"), ()])
def test_the_case_with_its_lesion(keys):
    kept = RandLesionFreed(prob=0.0)(case(*keys))
    assert {key: value(tensor) for key, tensor in kept.items()} == {"image": 0.2, "brain": 1.0, "pathology": 0.7}


def test_share_of_cases_without_lesion():
    transform = RandLesionFreed(prob=0.15)
    transform.set_random_state(seed=0)
    given = case("prior")
    shown = [value(transform(given)["image"]) for _ in range(1000)]
    assert set(shown) == {0.2, 0.4}
    assert shown.count(0.4) / 1000 == pytest.approx(0.15, abs=0.04)  # 3.5 standard deviations
    transform.set_random_state(seed=0)
    assert [value(transform(given)["image"]) for _ in range(1000)] == shown
