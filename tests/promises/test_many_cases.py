# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A run over a list: what ends one case, or the run, and what is said of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from conftest import write_head
from promises.verbs import mededit, tree  # noqa: F401

from mededit_monai.handlers import edit_previews

RUN = ("edit", "--datalist", "cases.json", "-o", "out", "--slice_index", "10")


@pytest.fixture()
def listed(tmp_path, monkeypatch):
    """Three cases, of which nothing is wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDEDIT_CACHE", str(tmp_path / "cache"))
    head = write_head(tmp_path / "head")
    cases = [{"case_id": name, "scan": str(head.scan), "pathology": str(head.pathology)} for name in ("a", "b", "c")]
    Path("cases.json").write_text(json.dumps(cases))


def at_the_second(patch, error: BaseException) -> None:
    """An error while the second case is written."""
    real, calls = edit_previews.save_preview, []

    def save(*arguments) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise error
        real(*arguments)

    patch.setattr(edit_previews, "save_preview", save)


def table() -> dict[str, dict[str, str]]:
    return {row["case_id"]: row for row in csv.DictReader(Path("out/summary.csv").open())}


def statuses() -> dict[str, str]:
    return {name: row["status"] for name, row in table().items()}


@pytest.mark.slow
def test_an_interrupted_run_tells_of_what_is_done_and_goes_on(listed, mededit, monkeypatch):  # noqa: F811
    with monkeypatch.context() as patch:
        at_the_second(patch, KeyboardInterrupt())
        assert mededit(*RUN).code == 130
    assert statuses() == {"a": "done"} and Path("out/summary.html").is_file()
    assert mededit(*RUN).code == 0
    assert statuses() == {"a": "done before", "b": "done", "c": "done"}
    assert float(table()["a"]["lesion_ml"]) > 0 and float(table()["c"]["largest_displacement_mm"]) > 0
    done = mededit(*RUN)
    assert done.code == 0 and done.err.count("skipped") == 3 and set(statuses().values()) == {"done before"}
    before = tree(Path())
    assert mededit(*RUN).code == 0 and tree(Path()) == before


@pytest.mark.slow
def test_a_fault_of_ours_in_one_case_does_not_stop_the_others(listed, mededit, monkeypatch):  # noqa: F811
    at_the_second(monkeypatch, KeyError("of ours"))
    done = mededit(*RUN, "--json")
    assert done.refused("1 of 3 cases failed, the others are done"), done.said
    (fault,) = Path("cache/faults").iterdir()
    answer = json.loads(done.out)
    assert answer["written"] == ["out/a", "out/c"] and [one["case_id"] for one in answer["failed"]] == ["b"]
    assert f"please report it with {fault.resolve()}" in answer["failed"][0]["failed"]
    assert statuses() == {"a": "done", "b": "failed", "c": "done"} and not Path("out/b").exists()


@pytest.mark.slow
def test_shards_share_a_table(listed, mededit):  # noqa: F811
    assert mededit(*RUN, "--shard", "1/2").code == 0 and statuses() == {"a": "done", "c": "done"}
    assert mededit(*RUN, "--shard", "2/2").code == 0
    assert statuses() == {"a": "done before", "b": "done", "c": "done before"}


@pytest.mark.slow
def test_a_list_as_a_bids_dataset(listed, mededit, monkeypatch):  # noqa: F811
    """What was interrupted is laid out as far as it is done; what a person changed there stays."""
    run = (*RUN, "--layout", "bids")
    with monkeypatch.context() as patch:
        at_the_second(patch, KeyboardInterrupt())
        assert mededit(*run).code == 130
    assert sorted(p.name for p in Path("out").glob("sub-*")) == ["sub-a"]
    done = mededit(*run, "--json")
    assert json.loads(done.out)["written"] == ["out/sub-b", "out/sub-c"], done.said

    def results() -> dict[str, bytes]:  # all but the list of cases, which tells what was done before
        return {
            name: data for name, data in tree(Path()).items() if Path(name).parent != Path("out/sourcedata/mededit")
        }

    before = results()
    assert mededit(*run).err.count("skipped") == 3 and results() == before
    Path("out/sub-b/anat/sub-b_desc-counterfactual_T1w.json").write_text("{}")
    changed = mededit(*run, "--seed", "5")
    assert changed.refused("1 of 3 cases failed") and "sub-b_desc-counterfactual_T1w.json: was changed" in changed.err
    assert Path("out/sub-b/anat/sub-b_desc-counterfactual_T1w.json").read_text() == "{}"
