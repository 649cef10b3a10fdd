# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Names in the studies' pictures are shown as they are."""

from __future__ import annotations

import pytest
from reports.drawn_texts import NAMES, PLANE, caught_texts

from studies.scan_comparison import save_sheet
from studies.ventricle_agreement import _scatter


@pytest.fixture()
def texts(monkeypatch) -> list[str]:
    return caught_texts(monkeypatch)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", NAMES)
def test_pictures(texts, tmp_path, name):
    mask = PLANE > 0.9
    shown = {"prior": PLANE, "edit": PLANE, "pathology": mask, "region": mask}
    save_sheet({name: shown}, {name: {"prior": PLANE}}, tmp_path / "comparison.png")
    rows = [{"scan": name, "judge_mm2": 1.0, "meshnet_mm2": 2.0}]
    _scatter(rows, tmp_path / "agreement.png")
    assert sum(name in text for text in texts) >= 2
    assert all(p.stat().st_size > 1000 for p in tmp_path.glob("*.png")) and len(list(tmp_path.iterdir())) == 2
