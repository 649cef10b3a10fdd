# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Thousands of generated scans: what is good is edited as promised, what is not is refused in a sentence."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from fuzz.check import run_cases
from fuzz.heads import FAULTS, spec_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mededit_monai.handlers import edit_writer

#: In the slow suite; MEDEDIT_FUZZ gives another number.
MANY, A_RUN = int(os.environ.get("MEDEDIT_FUZZ", 10_000)), 100

#: Nothing is shrunk: a case is small already, and another run takes as long.
PLAIN = {"phases": [Phase.generate], "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def test_a_hundred(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(
        edit_writer, "save_preview", lambda planes, path, title="": path.write_bytes(b"")
    )  # half the time
    cases = [spec_of(seed) for seed in range(100)]
    outcomes, broken = run_cases(cases, tmp_path)
    assert broken == []
    assert all(line.startswith("mededit: ") for line in capfd.readouterr().err.splitlines() if line.strip())
    assert outcomes["edited"] >= 50 and sum(outcomes.values()) == 100
    assert len({outcome for outcome in outcomes if outcome.startswith("refused")}) >= 12


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many(tmp_path):
    outcomes: Counter[str] = Counter()

    @settings(max_examples=max(1, MANY // A_RUN), **PLAIN)
    @given(st.integers(0, 2**62))
    def run(seed):
        cases = [spec_of(seed + number) for number in range(A_RUN)]
        place = Path(tmp_path / "run")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        found, broken = run_cases(cases, place)
        assert broken == []
        outcomes.update(found)

    run()
    assert outcomes["edited"] >= MANY / 2 and {f"refused: {fault}" for fault in FAULTS} <= set(outcomes)
