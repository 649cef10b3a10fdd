# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Coverage of intervals: too few people make them too narrow, and the program writes what it counts."""

from __future__ import annotations

import json

import pytest

from mededit_monai.core.errors import InputError
from studies import interval_coverage as study


def test_few_people_have_intervals_that_are_too_narrow():
    few, many = (study.coverage(groups, 1, 150, draws=60) for groups in (3, 25))
    assert few < 0.87 < many <= 1


def test_written_as_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "GROUPS", (3, 5))
    monkeypatch.setattr(study, "DRAWS", 20)
    monkeypatch.setattr(study, "coverage", lambda groups, each, runs, seed: (groups + each) / 10)
    assert study.main(["--runs", "20", "-o", str(tmp_path / "out")]) == 0
    content = json.loads((tmp_path / "out" / "coverage.json").read_bytes())
    assert content["found"][1] == {"groups": 3, "cases_each": 4, "coverage": 0.7}
    assert "| 3 | 0.400 | 0.700 |" in capsys.readouterr().out
    with pytest.raises(InputError, match="--runs"):
        study.interval_coverage(tmp_path / "other", runs=2)
    with pytest.raises(SystemExit) as ended:
        study.main(["--seed", "-1", "-o", str(tmp_path / "other")])
    assert ended.value.code == 2 and "--seed: got -1" in capsys.readouterr().err and not (tmp_path / "other").exists()
