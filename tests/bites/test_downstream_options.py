# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every option of `mededit downstream` arrives where it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from downstream.toy import write_cohort, write_edits

from mededit_monai.cli import loud, make_app
from mededit_monai.core.options import options_of
from mededit_monai.downstream import run as module
from mededit_monai.downstream.options import DownstreamOptions

#: What stands on the line; an option that is tried takes the place of the one here, or of none.
LINE = {"cohort": "cohort", "rows": "real", "folds": "2", "iterations": "3", "output_dir": "before"}

#: Option → its value, what the trainings then show, and what else is on the line both times (None: nothing).
WIRES: dict[str, tuple[str, Callable[[Any], bool], dict[str, str | None]]] = {
    "cohort": ("other", lambda seen: len(seen.cases) == 5, {}),
    "synthetic": ("edits", lambda seen: any("synthetic" in c["case_id"] for c in seen.cases), {}),
    "output_dir": ("elsewhere", lambda seen: Path("elsewhere/table.md").is_file(), {}),
    "rows": ("mixup", lambda seen: seen.values(2) == {"mixup"}, {}),
    "split": ("testing", lambda seen: len(seen.cases) == 4, {}),
    "preset": (
        "full",
        lambda seen: seen.values(4) == {4000} and len(seen.values(1)) == 5,
        {"folds": None, "iterations": None},
    ),
    "folds": ("3", lambda seen: len(seen.values(1)) == 3, {}),
    "seeds": ("4", lambda seen: seen.values(3) == {0, 1, 2, 3}, {}),
    "iterations": ("7", lambda seen: seen.values(4) == {7}, {}),
    "batch_size": ("2", lambda seen: seen.values(5) == {2}, {}),
    "device": ("meta", lambda seen: seen.values(6) == {"meta"}, {}),
    "progress": ("", lambda seen: seen.progress, {}),
}


class Seen:
    """The trainings that were asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.cases: list[dict] = []
        self.progress = False

    def values(self, place: int) -> set:
        """All that was asked for: 0 training, 1 testing, 2 augmentation, 3 seed, 4 steps, 5 batch, 6 device."""
        return {call[place] for call in self.calls}

    def train(
        self, cases, training, testing, augmentation, seed, iterations, batch_size, device, tick, synthetic
    ) -> dict:
        self.calls.append((training, testing, augmentation, seed, iterations, batch_size, device))
        real, made = (
            [{"case_id": self.cases[k]["case_id"], "dice": 0.5, "iou": 0.3} for k in numbers]
            for numbers in (testing, synthetic)
        )
        return {"cases": real, "synthetic": made, "loss": 0.1, "seconds": 1.0}

    def cached(self, entries, transform, cache_dir, progress) -> list:
        self.cases, self.progress = entries, progress
        return entries


@pytest.fixture()
def seen(tmp_path, monkeypatch) -> Seen:
    monkeypatch.chdir(tmp_path)
    write_cohort(tmp_path / "cohort", 8, testing=4)
    write_cohort(tmp_path / "other", 5)
    write_edits(tmp_path / "edits", tmp_path / "cohort", {f"e{k}": (f"p{k}_0", f"p{k}_0") for k in range(4)})
    found = Seen()
    monkeypatch.setattr(module, "train_and_measure", found.train)
    monkeypatch.setattr(module, "cached_cases", found.cached)
    monkeypatch.setattr(module, "require_device", lambda device: None)
    monkeypatch.setattr(loud, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True)))  # a terminal
    return found


def run(seen: Seen, capsys: pytest.CaptureFixture, options: Mapping[str, str | None], progress: bool) -> None:
    seen.calls.clear()
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", value)]
    make_app()(["downstream", *words, "--progress" if progress else "--no_progress"], standalone_mode=False)
    capsys.readouterr()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("option", WIRES)
def test_an_option_arrives(option, seen, capsys):
    value, shown, beside = WIRES[option]
    run(seen, capsys, LINE | beside, False)
    assert not shown(seen), "shown without the option, too"
    own = {} if option == "progress" else {option: value}
    run(seen, capsys, LINE | {"output_dir": "out"} | beside | own, option == "progress")
    assert shown(seen)


def test_every_option_is_in_the_table():
    """An option that is added wants a line above that says where it acts."""
    assert set(WIRES) == set(options_of(DownstreamOptions))
