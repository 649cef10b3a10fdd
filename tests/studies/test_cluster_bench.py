# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The plan of a million edits, by hand, and what edits cost by their files."""

from __future__ import annotations

import json

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.finished import finished_folder
from studies.cluster_bench import Cost, edits_in, plan


def test_a_plan_by_hand():
    """18 s at half efficiency are 36 s of a worker: 10 000 hours of a million edits, and 3600 workers fill 10 ms."""
    cost = Cost(seconds=18, megabytes=2.5, overhead=0.01, efficiency=0.5)
    assert cost.worker_hours(10**6) == pytest.approx(10_000) and cost.terabytes(10**6) == 2.5
    assert cost.days(10**6, 1) == pytest.approx(10_000 / 24) and cost.most_workers == pytest.approx(3600)
    assert cost.days(10**6, 10**6) == pytest.approx(10**4 / 86400)  # the scheduler's own
    text = plan(cost, 10**6)
    assert "| GPU hours of 1,000,000 edits | 10,000 |" in text and "| terabytes written | 2.5 |" in text


def test_what_edits_cost(tmp_path):
    for name, seconds, size in (("a", 2.0, 1000), ("b", 4.0, 3000)):
        with finished_folder(tmp_path / name) as folder:
            (folder / "edited.nii.gz").write_bytes(b"0" * size)
            (folder / "provenance.json").write_text(json.dumps({"case_id": name, "seconds": seconds}))
    (tmp_path / "mine").mkdir()
    total = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert edits_in(tmp_path) == (3.0, pytest.approx(total / 2e6))
    with pytest.raises(InputError, match="--plan_from: .* holds no edits"):
        edits_in(tmp_path / "mine")
