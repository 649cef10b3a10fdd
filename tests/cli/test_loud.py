# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What every verb offers (--json, --verbose, --quiet), and what is heard of one that runs."""

from __future__ import annotations

import json
import logging

import pytest
import typer
from promises.verbs import mededit  # noqa: F401

from mededit_monai import cli
from mededit_monai.core import loudness
from mededit_monai.core.errors import say
from mededit_monai.core.loudness import hush, is_quiet


def verbs() -> dict[str, object]:
    """Every verb and part of one, by name."""
    found = {}
    for name, command in typer.main.get_command(cli.app).commands.items():
        parts = getattr(command, "commands", None)
        found |= {f"{name} {part}": one for part, one in parts.items()} if parts else {name: command}
    return found


#: Verbs that only look.
LOOKING = ("info", "doctor")


@pytest.mark.parametrize("name", list(verbs()))
def test_every_verb_offers_them(name):
    offered = {option for one in verbs()[name].params for option in one.opts}
    assert "--json" in offered
    assert {"--verbose", "--quiet"} & offered == (set() if name in LOOKING else {"--verbose", "--quiet"})


def test_both_at_once(mededit):  # noqa: F811
    assert mededit("lesion", "--scan", "a", "-o", "b", "--quiet", "--verbose").refused("--verbose: was given together")


@pytest.fixture()
def toy(monkeypatch):
    """The verb `lesion`, which now says something in every way; and the progress that it is asked to show."""
    shown = []

    def draw(*given, **more) -> dict[str, object]:
        say("a warning")
        logging.getLogger("mededit_monai.toy").info("own line")
        logging.getLogger("monai.toy").info("line of MONAI")
        logging.getLogger("monai.toy").error("error of MONAI")
        shown.append(is_quiet())
        return {"written": "b", "voxels": 7, "preview": "b.png"}

    monkeypatch.setattr("mededit_monai.lesions.files.write_lesion", draw)
    monkeypatch.setattr("mededit_monai.lesions.files.summary", lambda made: "toy")
    return shown


WORDS = ("lesion", "--scan", "a", "-o", "b")


@pytest.mark.parametrize(
    "more, heard",
    [
        ((), ["mededit: a warning", "own line", "error of MONAI"]),
        (("--quiet",), ["error of MONAI"]),
        (
            ("--verbose",),
            [
                "mededit: a warning",
                "mededit_monai.toy: own line",
                "monai.toy: line of MONAI",
                "monai.toy: error of MONAI",
            ],
        ),
    ],
)
def test_what_is_heard(toy, mededit, more, heard):  # noqa: F811
    before = logging.getLogger().level, list(logging.getLogger().handlers)
    done = mededit(*WORDS, *more)
    assert done.code == 0 and done.err.splitlines() == heard and done.out == "b: 7 voxels, toy; look at b.png\n"
    assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before and not is_quiet()
    done = mededit(*WORDS, *more, "--json")
    assert json.loads(done.out) == {"written": "b", "voxels": 7, "preview": "b.png"} and done.err.splitlines() == heard


def test_errors_are_heard_always(mededit, tmp_path):  # noqa: F811
    done = mededit("lesion", "--scan", tmp_path / "none.nii", "-o", tmp_path / "b.nii", "--quiet")
    assert done.code == 2 and done.err.startswith("mededit: ") and "not found" in done.err


@pytest.mark.parametrize("words, wanted", [((), True), (("--quiet",), False), (("--no_progress",), False)])
def test_a_quiet_run_shows_no_progress(monkeypatch, mededit, words, wanted):  # noqa: F811
    asked = {}
    monkeypatch.setattr("mededit_monai.workflows.edit", lambda **given: asked.update(given) or [])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert mededit("edit", *words).code == 0 and asked["progress"] is wanted
    assert not {"verbose", "quiet"} & set(asked)


def test_a_logger_that_is_hushed_is_heard_in_a_verbose_run():
    name = "mededit_monai.toy.hushed"
    for word, level in (("default", logging.WARNING), ("verbose", logging.NOTSET)):
        with loudness.loudness(word):
            hush(name, logging.WARNING)
        assert logging.getLogger(name).level == level


def test_an_edit_that_is_quiet_or_not(head, tmp_path, monkeypatch, mededit):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    words = ("edit", "--scan", head.scan, "--pathology", head.pathology, "--slice_index", "10", "--steps", "2")
    quiet, loud = mededit(*words, "-o", "a", "--quiet"), mededit(*words, "-o", "b", "--verbose")
    assert quiet.code == loud.code == 0 and quiet.err == "" and quiet.out.count("\n") == 1
    assert "Evaluator: Engine run" in loud.err or "EditEvaluator: " in loud.err, loud.err
