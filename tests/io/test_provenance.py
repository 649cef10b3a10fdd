# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import pytest

from mededit_monai.io.provenance import is_done, sha256, versions, write_provenance

REQUEST = {"options": {"method": "mededit", "steps": 50, "start": None}, "inputs": {"scan": "aa", "pathology": "bb"}}


def changed(part: str, **values) -> dict:
    return REQUEST | {part: REQUEST[part] | values}


# --- hashes and versions ---------------------------------------------------------------------------------------------


def test_hash_of_known_bytes(tmp_path):
    """The test vectors of FIPS 180-2."""
    for content, wanted in (
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ):
        (tmp_path / "file").write_bytes(content)
        assert sha256(tmp_path / "file") == wanted


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (2 << 20) + 3])
def test_hash_of_a_file_read_in_blocks(tmp_path, size):
    content = bytes(range(251)) * (size // 251 + 1)
    (tmp_path / "file").write_bytes(content[:size])
    assert sha256(str(tmp_path / "file")) == hashlib.sha256(content[:size]).hexdigest()


def test_versions_are_the_installed_ones():
    found = versions()
    assert (
        found["python"].startswith("3.") and found["monai"] == version("monai") and found["torch"] == version("torch")
    )
    assert set(found) == {"python", "mededit_monai", "monai", "torch", "numpy", "scipy", "nibabel"}


# --- writing ---------------------------------------------------------------------------------------------------------


def test_what_is_written(tmp_path):
    write_provenance(tmp_path, REQUEST, {"seed": 3, "scan": Path("a.nii"), "warnings": []})
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["options"] == REQUEST["options"] and record["inputs"] == REQUEST["inputs"]
    assert (record["seed"], record["scan"], record["warnings"]) == (3, "a.nii", [])
    assert record["synthetic"] is True and record["versions"] == versions()
    assert record["note"] == "Synthetic image. Research use only, not a medical device."


# --- resuming --------------------------------------------------------------------------------------------------------


def test_same_request_is_done_whatever_the_run_found_out(tmp_path):
    write_provenance(tmp_path, REQUEST, {"seconds": 3.1, "warnings": ["something"]})
    assert is_done(tmp_path, REQUEST)
    assert is_done(tmp_path, json.loads(json.dumps(REQUEST)))


@pytest.mark.parametrize(
    "request_now",
    [
        changed("options", steps=51),
        changed("options", start=0.5),
        changed("options", weights_sha256="cc"),
        changed("inputs", scan="ab"),
        changed("inputs", pathology="bB"),
        changed("inputs", brain="cc"),
        REQUEST | {"inputs": {"scan": "aa"}},
        REQUEST | {"options": {"method": "mededit", "steps": 50}},
        REQUEST | {"more": 1},
    ],
    ids=str,
)
def test_another_request_is_not_done(tmp_path, request_now):
    write_provenance(tmp_path, REQUEST, {})
    assert not is_done(tmp_path, request_now)


def test_what_json_cannot_hold_is_compared_as_written(tmp_path):
    request = {"options": {"weights": Path("a/model.pt"), "channels": (32, 64)}, "inputs": {}}
    write_provenance(tmp_path, request, {})
    assert is_done(tmp_path, request)
    assert not is_done(tmp_path, {"options": {"weights": Path("b/model.pt"), "channels": (32, 64)}, "inputs": {}})


def test_unfinished_folders_are_not_done(tmp_path):
    assert not is_done(tmp_path / "none", REQUEST)
    assert not is_done(tmp_path, REQUEST)
    write_provenance(tmp_path, REQUEST, {})
    file = tmp_path / "provenance.json"
    file.write_text(file.read_text()[:-30])
    assert not is_done(tmp_path, REQUEST)
    file.write_text("")
    assert not is_done(tmp_path, REQUEST)
