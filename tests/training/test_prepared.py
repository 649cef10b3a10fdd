# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Prepared cases on disk are those of the files as they are now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from monai.transforms import Transform

from mededit_monai.training.prepared import PreparedCases


class Read(Transform):
    """The number in a case's file, or the sum of those in its files."""

    def __call__(self, case):
        files = [case["image"]] if isinstance(case["image"], str | Path) else case["image"]
        return {"case_id": case["case_id"], "image": torch.tensor(sum(float(Path(one).read_text()) for one in files))}


def value(case: dict, folder: Path) -> float:
    return float(PreparedCases([case], Read(), folder / "prepared")[0]["image"])


@pytest.mark.parametrize("kind", [str, Path, lambda file: [str(file)]], ids=["text", "path", "list"])
@pytest.mark.parametrize(("content", "later"), [("22", 0), ("2", 1)], ids=["other size", "other time"])
def test_a_file_changed_in_place_is_prepared_again(tmp_path, kind, content, later):
    file = tmp_path / "image.txt"
    file.write_text("1")
    time = file.stat().st_mtime_ns
    case = {"case_id": "a", "image": kind(file)}
    assert value(case, tmp_path) == 1
    file.write_text(content)
    os.utime(file, ns=(time, time + later))
    assert value(case, tmp_path) == float(content)
    assert value(case, tmp_path) == float(content) and len(list((tmp_path / "prepared").glob("*.pt"))) == 2


def test_a_file_that_stays_is_prepared_once(tmp_path):
    """What lies on the disk is taken, by this process and the next."""
    file = tmp_path / "image.txt"
    file.write_text("1")
    case = {"case_id": "a", "image": str(file), "notes": ["a text", 3, None, "\0"]}
    assert value(case, tmp_path) == 1
    (place,) = (tmp_path / "prepared").glob("*.pt")
    torch.save({"case_id": "a", "image": torch.tensor(7.0)}, place)
    assert value(case, tmp_path) == 7


def test_a_file_changed_during_a_run_counts_from_the_next(tmp_path):
    """A run prepares under the names that it listed at its start, whatever becomes of the files."""
    file = tmp_path / "image.txt"
    file.write_text("1")
    case = {"case_id": "a", "image": str(file)}
    data = PreparedCases([case], Read(), tmp_path / "prepared")
    file.write_text("22")
    assert float(data[0]["image"]) == 22
    file.write_text("333")
    assert float(data[0]["image"]) == 22 and value(case, tmp_path) == 333
