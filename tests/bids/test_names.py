# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a case is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from mededit_monai.bids.names import BidsName, bids_name, cases_dir
from mededit_monai.bids.sources import Sources
from mededit_monai.core.errors import InputError

RAW = "raw/sub-01/ses-2/anat"


@pytest.mark.parametrize(
    "case_id, image, name",
    [
        ("a", f"{RAW}/sub-01_ses-2_acq-x_run-1_T1w.nii.gz", BidsName("01", "2", {"acq": "x", "run": "1"})),
        ("a", "sub-07_desc-preproc_T1w.nii.gz", BidsName("07")),
        ("a", f"{RAW}/T1.nii.gz", BidsName("01", "2")),
        ("sub-03_ses-1", "T1.nii.gz", BidsName("03", "1")),
        ("IXI012-Guys_T1", "IXI012-Guys_T1.nii.gz", BidsName("IXI012GuysT1")),
        ("substance", "sub.nii.gz", BidsName("substance")),
    ],
)
def test_a_case_is_called_by_its_scan_or_by_itself(case_id, image, name):
    assert bids_name(case_id, image) == name


def test_a_name_of_which_nothing_is_left_is_refused():
    with pytest.raises(InputError, match="--layout.*'__'.*datalist"):
        bids_name("__", "__.nii.gz")


def test_the_order_of_a_file_s_entities():
    name = BidsName("01", "2", {"run": "1", "space": "x", "acq": "y"})
    assert name.file("T1w.json", desc="a", label=None) == "sub-01_ses-2_acq-y_run-1_space-x_desc-a_T1w.json"


def test_where_cases_lie():
    assert cases_dir("out", "bids") == Path("out/sourcedata/mededit")
    assert cases_dir("out", "folders") == "out" and cases_dir(None, "bids") is None


def test_sources_are_named_by_their_dataset_or_by_their_name_alone(tmp_path):
    for name in ("raw", "other/raw"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "dataset_description.json").write_text("{}")
    sources = Sources(tmp_path / "raw" / "derivatives" / "edits")
    assert sources.uri(tmp_path / "raw" / "sub-01" / "a b.nii.gz") == "bids:raw:sub-01/a%20b.nii.gz"
    assert sources.uri(tmp_path / "other" / "raw" / "x.nii.gz") == "bids:raw1:x.nii.gz"
    assert sources.uri(tmp_path / "secret" / "y.nii.gz") == "y.nii.gz"
    assert sources.links == {"raw": "../..", "raw1": "../../../other/raw"}
