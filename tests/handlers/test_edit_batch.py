# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of a batch that is edited: whose they are, their seeds, and their share of a course."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mededit_monai.handlers.edit_batch import EditPrepareBatch
from mededit_monai.sampling.noise import case_seed


def batch() -> dict:
    """Case a of two slices, case b of one; every row's number is in its image."""
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 4, 4) / 4
    cases = [{"case_id": name, "space": SimpleNamespace(rows=rows)} for name, rows in (("a", 2), ("b", 1))]
    return {"cases": cases, **dict.fromkeys(("image", "brain", "pathology", "condition", "region"), images)}


def rows(prepare: EditPrepareBatch) -> tuple[list[float], dict]:
    image, target, rest, facts = prepare(batch())
    assert target is None and rest == ()
    return [float(one) * 4 for one in (image[:, 0, 0, 0] + 1) / 2], facts


def test_samples_are_rows_with_seeds_of_their_own():
    images, facts = rows(EditPrepareBatch(seed=3, samples=2))
    assert images == pytest.approx([0, 1, 0, 1, 2, 2])
    wanted = [("a", 0), ("a", 0), ("a", 1), ("a", 1), ("b", 0), ("b", 1)]
    assert facts["seeds"] == [case_seed(3, *one) for one in wanted]
    assert set(facts) == {"brain", "pathology", "region", "seeds"}


def test_a_course_is_one_sample_at_rising_shares():
    images, facts = rows(EditPrepareBatch(seed=3, course=3))
    assert images == pytest.approx([0, 1, 0, 1, 0, 1, 2, 2, 2])
    assert facts["seeds"] == [case_seed(3, "a")] * 6 + [case_seed(3, "b")] * 3
    assert facts["shares"] == [0, 0, 0.5, 0.5, 1, 1, 0, 0.5, 1]


def test_a_case_keeps_its_view_beside_one_without():
    given = batch()
    given["cases"][0]["fine"] = "view of a"
    assert EditPrepareBatch(samples=1)(given)[3]["fine"] == ["view of a", "view of a", None]
    assert "fine" not in EditPrepareBatch(samples=1)(batch())[3]
