# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A method says itself which options it takes, and Python and the command line refuse the others in the same words."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import REPOSITORY
from gaussian import scheduler
from promises.verbs import mededit  # noqa: F401
from released_bundle import shipped

from mededit_monai import edit
from mededit_monai.core.errors import InputError
from mededit_monai.diseases import DISEASES
from mededit_monai.methods.build import build_editor, prediction_of
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.methods.editor import Editor
from mededit_monai.methods.record import CHOSEN, METHODS, NEUTRAL

#: Values that would change an edit.
VALUES = {
    "steps": 7,
    "spacing": "t",
    "sampler": "dpm2m",
    "eta": 0.5,
    "resample": 4,
    "jump": 2,
    "resample_above": 0.5,
    "start": 0.5,
    "guidance": 2.0,
    "mode": "paper",
    "dilation": 9,
    "region": "brain",
    "draw_regions": True,
}

#: Other values than these.
OTHER = {"steps": 20, "spacing": "logsnr", "sampler": "ddpm", "eta": 0.0, "dilation": 25, **NEUTRAL}

#: What some of them need beside them.
BESIDE = {
    "eta": {"sampler": "ddim"},
    "jump": {"resample": 2},
    "resample_above": {"resample": 2},
    "dilation": {"region": "dilate"},
}

#: What an editor needs beside them, which an edit knows from its disease.
KNOWN = {"draw_regions": {"pixel_mm": 1.6}}

UNTAKEN = [(name, option) for name in METHODS for option in sorted(CHOSEN - METHODS[name].takes)]
TAKEN = [(name, option) for name in METHODS for option in sorted(METHODS[name].takes)]
IDLE = [(name, option) for name, option in UNTAKEN if option in NEUTRAL]

BUNDLE = REPOSITORY / "bundles" / "stroke"

#: Files that are not there: what comes after the options have been looked at.
FILES = ("scan.nii.gz", "lesion.nii.gz")


def build(method: str, **settings: Any) -> Editor:
    return build_editor(method, scheduler(prediction_of(method)), "mask", **settings)


def flag(option: str, value: Any) -> tuple[Any, ...]:
    """An option on the command line."""
    return (f"--{option}" if value else f"--no_{option}",) if isinstance(value, bool) else (f"--{option}", value)


def test_every_option_that_a_method_may_not_take_is_tried():
    assert set(VALUES) == CHOSEN and len(UNTAKEN) > 25
    assert {option for _, option in IDLE} == set(NEUTRAL)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("method", "option"), UNTAKEN)
def test_what_a_method_does_not_take_is_refused_by_every_door(method, option, mededit, tmp_path):  # noqa: F811
    value = VALUES[option]
    with pytest.raises(InputError, match=f"^--{option}: .*{method}.*leave .*out") as caught:
        build(method, **{option: value})
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    with pytest.raises(InputError) as caught:
        edit(*FILES, tmp_path / "out", method=method, **{option: value})
    assert str(caught.value) == sentence
    words = ("--scan", FILES[0], "--pathology", FILES[1], "-o", tmp_path / "out")
    done = mededit("edit", *words, "--method", method, *flag(option, value))
    assert done.code == 2 and done.err.splitlines()[-1] == f"mededit: {sentence}" and not done.out
    assert not (tmp_path / "out").exists()


@pytest.mark.one_in(5)
@pytest.mark.parametrize(("method", "option"), IDLE)
def test_what_does_nothing_may_be_given_to_every_method(method, option, mededit, tmp_path):  # noqa: F811
    value = NEUTRAL[option]
    plain, given = build(method, steps=7), build(method, steps=7, **{option: value})
    assert given.moves == plain.moves and given.levels == plain.levels and given.guidance == plain.guidance
    record = METHODS[method]
    shipped("stroke", record.network.weights_file("mask", 3 if record.volume_defaults else 2))
    with pytest.raises(InputError, match="^scan.nii.gz: not found"):
        edit(*FILES, tmp_path / "out", method=method, **{option: value})
    words = ("--scan", FILES[0], "--pathology", FILES[1], "-o", tmp_path / "out")
    assert mededit("edit", *words, "--method", method, *flag(option, value)).refused("scan.nii.gz: not found")


@pytest.mark.parametrize(("method", "option"), TAKEN)
def test_what_a_method_takes_reaches_its_editor(method, option):
    given = {option: VALUES[option], **BESIDE.get(option, {})}
    options = EditOptions.of({"method": method, **given}).resolved(DISEASES["tumor"])
    options.refuse_useless(given)
    assert options.recorded()[option] == VALUES[option]
    if option not in METHODS[method].of_editor:
        assert options.region_word == given["region"] and option in ("region", "dilation")
        return
    assert options.editor_settings()[option] == VALUES[option]
    plain = {"steps": 20} | given | KNOWN.get(option, {})
    found = facts(build(method, **plain))
    assert found == facts(build(method, **plain)) and found != facts(build(method, **plain | {option: OTHER[option]}))


def facts(editor: Editor) -> dict[str, Any]:
    """What an editor was built with."""
    return {name: value for name, value in vars(editor).items() if name != "scheduler"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stepz": 3}, "--inferer#stepz: morph knows no such setting; it takes .*steps"),
        ({"within_brain": False}, "--inferer#within_brain: morph knows no such setting"),
        ({"sampler": "ddpm", "eta": 0.5}, "--eta: got 0.5, which --sampler ddpm cannot do; leave it out or choose"),
        ({"sampler": "euler"}, "--sampler: got 'euler', wanted one of ddpm, ddim, dpm2m"),
    ],
)
def test_settings_that_are_none(settings, words):
    with pytest.raises(InputError, match=words):
        build("morph", **settings)


def test_a_region_that_the_method_cannot_find():
    for method in ("palette", "sdedit"):
        with pytest.raises(InputError, match=f"--region: applies to --method mededit; {method} has its own"):
            build(method, region="auto")
    assert build("mededit", region="auto").auto_region and not build("mededit", region="brain").auto_region
    with pytest.raises(InputError, match="--inferer#condition: is missing; morph wants to know"):
        build_editor("morph", scheduler("v_prediction"))
