# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What `make zoo-check` finds, on bundles made worse by hand; and all of it on the bundles themselves."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from sharing.toy_bundle import write_bundle

from mededit_monai.core.errors import InputError
from mededit_monai.sharing.export import export_bundle
from studies import write_eval_metrics, zoo_check
from studies.zoo_check import Checked, Skip


@pytest.fixture()
def one(tmp_path) -> Checked:
    facts = export_bundle(write_bundle(tmp_path / "here"), "zoo", tmp_path / "zoo", hub_id="ORG/NAME")
    return Checked(tmp_path / "zoo" / "models" / facts["name"], tmp_path / "zoo")


def change_metadata(one: Checked, **items: object) -> None:
    place = one.root / "configs" / "metadata.json"
    place.write_text(json.dumps({k: v for k, v in (one.metadata | items).items() if v is not None}))


LIGHT = (
    zoo_check.files,
    zoo_check.weights,
    zoo_check.changelog,
    zoo_check.schema,
    zoo_check.scores,
    zoo_check.hub_entry,
)


def test_an_exported_bundle_passes(one):
    for check in LIGHT:
        check(one)


@pytest.mark.parametrize(
    "check, damage, words",
    [
        (zoo_check.files, lambda one: (one.root / "LICENSE").unlink(), "LICENSE missing"),
        (zoo_check.files, lambda one: (one.root / "a.bin").write_bytes(bytes(25_000_001)), "a.bin: larger than 25 MB"),
        (zoo_check.files, lambda one: (one.root / "a").symlink_to("LICENSE"), "links"),
        (zoo_check.weights, lambda one: (one.root / "models" / "paint.pt").write_bytes(b"1"), "differs from its"),
        (zoo_check.changelog, lambda one: change_metadata(one, version="9.9"), "9.9 is not in the changelog"),
        (zoo_check.scores, lambda one: change_metadata(one, eval_metrics={}), "no eval_metrics"),
        (zoo_check.packages, lambda one: change_metadata(one, monai_version="0.1"), "monai .*, wanted 0.1"),
        (zoo_check.hub_entry, lambda one: shutil.rmtree(one.export / "hf_models"), "README.md, LICENSE, metadata.json"),
    ],
)
def test_what_is_wrong_is_said(one, check, damage, words):
    damage(one)
    with pytest.raises(InputError, match=words):
        check(one)


def test_metadata_that_the_schema_refuses(one):
    change_metadata(one, network_data_format=None)
    with pytest.raises(ValueError, match="network_data_format"):
        zoo_check.schema(one)


def test_what_a_bundle_without_weights_is_spared():
    one = Checked(REPOSITORY / "bundles" / "semantic_synthesis", None)
    for check in (zoo_check.weights, zoo_check.scores, zoo_check.traced, zoo_check.hub_entry, zoo_check.unit_test):
        with pytest.raises(Skip, match="no weights yet"):
            check(one)
    for check in (zoo_check.files, zoo_check.changelog, zoo_check.schema, zoo_check.packages):
        check(one)


def test_states_and_warnings(one, monkeypatch):
    def fine(_):
        """All is well."""
        logging.getLogger("monai").warning("but %s", "this")

    def bad(_):
        raise InputError("no")

    def spared(_):
        raise Skip("why")

    monkeypatch.setattr(zoo_check, "CHECKS", (fine, bad, spared))
    found = list(zoo_check.check(one))
    assert found == [
        ("ok", "fine", "All is well.", ["monai: but this"]),
        ("failed", "bad", "InputError: no", []),
        ("skipped", "spared", "why", []),
    ]


@pytest.mark.parametrize("bundle", write_eval_metrics.BUNDLES)
def test_the_scores_in_the_metadata_are_those_of_the_tables(bundle):
    """Else: python -m studies.write_eval_metrics."""
    metadata = json.loads((REPOSITORY / "bundles" / bundle / "configs" / "metadata.json").read_text())
    wanted = write_eval_metrics.eval_metrics(bundle)
    assert metadata["eval_metrics"] == wanted and len(wanted) > 4


def test_scores_are_put_in_and_replaced():
    text = '{\n    "a": ["x", "y"],\n    "intended_use": "z"\n}\n'
    once = write_eval_metrics.with_scores(text, {"m": 1.5})
    assert json.loads(once) == {"a": ["x", "y"], "eval_metrics": {"m": 1.5}, "intended_use": "z"}
    assert '"a": ["x", "y"]' in once and write_eval_metrics.with_scores(once, {"m": 1.5}) == once
    assert json.loads(write_eval_metrics.with_scores(once, {"n": 2}))["eval_metrics"] == {"n": 2}


@pytest.mark.slow
@pytest.mark.parametrize("bundle", zoo_check.BUNDLES)
def test_all_checks(bundle):
    command = [sys.executable, "-m", "studies.zoo_check", "--bundle", bundle]
    done = subprocess.run(command, cwd=Path(REPOSITORY), capture_output=True, text=True)
    assert done.returncode == 0 and "failed " not in done.stdout, done.stdout
