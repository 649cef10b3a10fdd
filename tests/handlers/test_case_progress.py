# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The bar of a run over a list: cases, not batches, and silence where nobody watches."""

from __future__ import annotations

import sys

import pytest
from ignite.engine import Engine

from mededit_monai.datasets.editing import EditingCases
from mededit_monai.handlers import CaseProgress, case_progress

CASES = EditingCases([{"case_id": str(k)} for k in range(5)], done=["x", "y"])

#: Batches of 3 and 2 cases, one of which failed.
BATCHES = [{"cases": [1, 2, 3]}, {"cases": [4], "failed": [5]}]


def run(shown: bool, step=lambda engine, batch: batch.update(cases=[])) -> CaseProgress:
    bar, engine = CaseProgress(CASES, shown), Engine(step)
    bar.attach(engine)
    engine.run([dict(batch) for batch in BATCHES])
    return bar


def test_cases_are_counted_those_done_before_too(monkeypatch):
    seen = []
    real = case_progress.tqdm

    class Watched(real):
        def update(self, n=1):
            super().update(n)
            seen.append((self.n, self.total))

    monkeypatch.setattr(case_progress, "tqdm", Watched)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run(True)
    assert seen == [(5, 7), (7, 7)]


@pytest.mark.parametrize("terminal, shown, wanted", [(True, True, True), (True, False, False), (False, True, False)])
def test_it_is_shown_on_a_terminal_that_wants_it(monkeypatch, capsys, terminal, shown, wanted):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    run(shown)
    said = capsys.readouterr().err
    assert ("7/7" in said) is wanted and bool(said) is wanted


def test_what_ends_the_run_is_not_kept(monkeypatch):
    def step(engine, batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(True, step)
