# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every option of `mededit recovery` arrives where it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from recovery.toy import SHAPE, fake_edit, labels, segmenter, write_scans

from mededit_monai.cli import loud, make_app
from mededit_monai.core.options import options_of
from mededit_monai.recovery import run as module
from mededit_monai.recovery.options import RecoveryOptions

#: Option → its value, and what it changes in what was asked of `mededit edit` and of the segmenter.
WIRES: dict[str, tuple[str, Callable[[dict[str, Any]], bool]]] = {
    "scans": ("other", lambda seen: "other" in seen["datalist"][0]["scan"]),
    "lesions": ("PCA right", lambda seen: seen["datalist"][0]["lesion"] == "PCA right"),
    "bundle": ("tumor", lambda seen: seen["bundle"] == "tumor" and seen["disease"] == "tumor"),
    "spatial_dims": ("2", lambda seen: seen["spatial_dims"] == 2),
    "seed": ("7", lambda seen: seen["seed"] == 7),
    "output_dir": ("elsewhere", lambda seen: Path("elsewhere/recovery.json").is_file()),
    "segmenter": ("sh -e segment.sh {image} {output}", lambda seen: "-e" in seen["segmenter"].words),
    "lesion_labels": ("1,3", lambda seen: seen["segmenter"].lesion == (1, 3)),
    "ventricle_labels": ("2", lambda seen: seen["segmenter"].ventricle == (2,)),
    "device": ("cpu", lambda seen: seen["device"] == "cpu"),
    "progress": ("", lambda seen: seen["progress"]),
}


@pytest.fixture()
def seen(tmp_path, monkeypatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    for name in ("scans", "other"):
        write_scans(Path(name), 1)
    segmenter(tmp_path, labels(), np.zeros(SHAPE, np.uint8))

    def edit(**asked):
        found.update({"spatial_dims": None, "device": None} | asked)
        return fake_edit(**asked)

    def chosen(options, disease):
        found.update(segmenter=segmenter_of(options, disease), disease=disease)
        return found["segmenter"]

    segmenter_of = module.segmenter_of
    monkeypatch.setattr("mededit_monai.workflows.edit", edit)
    monkeypatch.setattr(module, "segmenter_of", chosen)
    monkeypatch.setattr(loud, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True)))  # a terminal
    return found


@pytest.mark.one_in(3)
@pytest.mark.parametrize("option", WIRES)
def test_an_option_arrives(option, seen):
    value, shown = WIRES[option]
    line = {"scans": "scans", "segmenter": "sh segment.sh {image} {output}", "output_dir": "before"}
    run(line, False)
    assert not shown(seen), "shown without the option, too"
    run(line | {"output_dir": "after"} | ({} if option == "progress" else {option: value}), option == "progress")
    assert shown(seen)


def run(line: dict[str, str], progress: bool) -> None:
    words = [word for name, text in line.items() for word in (f"--{name}", text)]
    make_app()(["recovery", *words, "--progress" if progress else "--no_progress"], standalone_mode=False)


def test_every_option_is_in_the_table():
    """An option that is added wants a line above that says where it acts."""
    assert set(WIRES) == set(options_of(RecoveryOptions))
