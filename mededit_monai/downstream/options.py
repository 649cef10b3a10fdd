# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What ``mededit downstream`` is asked, declared once, and the rows of its table; light to import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.options import option, options_of, refuse_unknown

_what = partial(option, group="What is compared")
_how = partial(option, group="How it is trained", recorded=True)
_run = partial(option, group="The run itself")


@dataclass(frozen=True)
class Row:
    """
    A way to train the network.

    Args:
        key: its name; label: for people.
        real, synthetic: whether it learns from these cases.
        augmentation: flips, mixup, cutmix or None.
        published: Dice of the same row in the Med-DDPM paper (arXiv 2305.18453), on other data.
    """

    key: str
    label: str
    real: bool = True
    synthetic: bool = False
    augmentation: str | None = None
    published: float | None = None


ROWS: Mapping[str, Row] = {
    row.key: row
    for row in (
        Row("real", "real", published=0.6531),
        Row("synthetic", "synthetic", real=False, synthetic=True, published=0.6207),
        Row("real_synthetic", "real + synthetic", synthetic=True, published=0.6675),
        Row("flips", "real, flips", augmentation="flips"),
        Row("mixup", "real, MixUp", augmentation="mixup"),
        Row("cutmix", "real, CutMix", augmentation="cutmix"),
    )
}

#: What all others are compared with.
REFERENCE = "real"

#: Preset → folds, seeds and iterations.
PRESETS: Mapping[str, Mapping[str, int]] = {
    "quick": {"folds": 3, "seeds": 3, "iterations": 200},
    "full": {"folds": 5, "seeds": 3, "iterations": 4000},
}

#: Cases a step, by the spatial dimensions; fewer where a fold has fewer to learn from.
BATCH = {2: 16, 3: 4}


@dataclass(frozen=True)
class DownstreamOptions:
    """Everything that can be said about a downstream experiment."""

    cohort: str | None = _what(
        None, "Real cases: folder of mededit dataset or mededit simulate, slices or volumes.", file=True
    )
    synthetic: str | None = _what(
        None, "Folder that mededit synthesize or mededit edit wrote from the cohort's masks or scans.", file=True
    )
    output_dir: str = _what("out/downstream", "Run again with it to go on.", file=True, short="-o")
    rows: tuple[str, ...] | None = _what(None, "Ways to train; default: all.", several=True, choices=tuple(ROWS))
    split: str = _what(
        "all",
        "List of the cohort that the real cases are of.",
        choices=("training", "validation", "testing", "all"),
        recorded=True,
    )

    preset: str = _how(
        "quick",
        "quick (3 folds, 3 seeds, 200 iterations) or full (5, 3, 4000).",
        choices=tuple(PRESETS),
        recorded=False,
    )
    folds: int | None = _how(
        None, "Parts of the patients, each held out once; default: the preset's.", least=2, most=100
    )
    seeds: int | None = _how(None, "Trainings of every row and fold; default: the preset's.", least=3, most=100)
    iterations: int | None = _how(
        None, "Optimisation steps of every training; default: the preset's.", least=1, most=10**6
    )
    batch_size: int | None = _how(None, "Cases a step; default: 16 slices or 4 volumes.", least=2, most=4096)

    device: Any = _run(None, "cpu, cuda, cuda:1, …; by default a GPU if there is one.")
    progress: bool = _run(True, "Show a progress bar.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> DownstreamOptions:
        """
        Options from values by name, checked one by one; what is not given is the preset's.

        Raises:
            InputError: no such option, a value that it cannot have, or rows of synthetic cases without any.
        """
        known = options_of(cls)
        refuse_unknown(tuple(values), tuple(known), "a downstream experiment")
        for name, value in values.items():
            if name != "rows":
                known[name].check(value)
        preset = PRESETS[values.get("preset", cls.preset)]
        numbers = {name: values.get(name) or preset[name] for name in ("folds", "seeds", "iterations")}
        found = cls(**{**values, **numbers, "rows": _rows(values.get("rows"))})
        if found.cohort is None:
            raise InputError("--cohort: is missing; give the folder of a cohort of 'mededit dataset' or 'simulate'.")
        needing = [row.key for row in found.chosen if row.synthetic]
        if needing and found.synthetic is None:
            raise InputError(
                f"--synthetic: is missing, but --rows {needing[0]} learns from synthetic cases; give a folder that "
                f"'mededit synthesize' or 'mededit edit' wrote, or leave the row out of --rows."
            )
        return found

    @property
    def chosen(self) -> list[Row]:
        """The rows, in the order of the table."""
        return [row for row in ROWS.values() if row.key in (self.rows or ())]


def _rows(given: str | Sequence[str] | None) -> tuple[str, ...]:
    words = tuple(ROWS) if given is None else (given,) if isinstance(given, str) else tuple(given)
    for word in words:
        require_choice("rows", word, tuple(ROWS))
    if not words:
        raise InputError(f"--rows: got none, wanted some of {', '.join(ROWS)}.")
    return words
