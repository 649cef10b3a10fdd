# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle run refuses before anything is built: whatever would change nothing and say nothing."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import REPOSITORY
from monai.bundle import ConfigParser
from promises.verbs import mededit  # noqa: F401

from mededit_monai import edit
from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.core.guard import check_run, check_sections
from mededit_monai.core.running import running
from mededit_monai.methods.edit_run import check_edit_run, edit_settings
from mededit_monai.workflows import bundle_content, train

CONFIG: dict[str, Any] = {
    "speed": 3,
    "colour": "red",
    "scan": None,
    "engine": {"_target_": "calendar.Calendar", "firstweekday": "@speed"},
    "parts": {"two": 2},
    "sum": "$@parts#two + len(@colour)",
    "run": ["$@engine", "$@sum"],
}


def check(*, declared: tuple[str, ...] = ("scan",), **overrides: Any) -> ConfigParser:
    """A run of a small config with overrides, guarded as for a Python caller."""
    parser = ConfigParser({**CONFIG, "parts": dict(CONFIG["parts"]), "engine": dict(CONFIG["engine"])})
    parser.update({name.replace("__", "#"): value for name, value in overrides.items()})
    with raising_bad_input():
        parser.parse()
        check_run(parser, declared, ["scan"])
    return parser


def test_what_something_refers_to_may_be_changed():
    parser = check(speed=5, colour="blue", parts__two=7, scan="a.nii.gz")
    assert parser.get_parsed_content("sum") == 11 and parser.get_parsed_content("engine").firstweekday == 5


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"sped": 5}, "--sped: unknown option (value 5); did you mean --speed?"),
        (
            {"pathology": "a b"},
            "--pathology: unknown option (value 'a b'); see the bundle's config for the known ones.",
        ),
        ({"parts__twoo": 5}, "--parts#twoo: unknown option (value 5); did you mean --parts#two?"),
        (
            {"engine__weekday": 5},
            "--engine#weekday: calendar.Calendar takes no such argument; did you mean --engine#firstweekday?",
        ),
        ({"engine__colour": 5}, "--engine#colour: calendar.Calendar takes no such argument; it takes firstweekday."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_effect_is_refused(overrides, sentence):
    with pytest.raises(InputError) as caught:
        check(**overrides)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_a_component_that_does_not_say_what_it_takes():
    assert check(engine={"_target_": "datetime.timedelta", "days": "@speed"}).get_parsed_content("engine").days == 3


def test_an_option_that_is_read_by_name_alone_has_to_be_declared():
    with pytest.raises(InputError, match="--scan: unknown option"):
        check(declared=(), scan="a.nii.gz")


def test_words_of_a_shell():
    """MONAI's command line gives 'false' as text, which would count as true."""
    parser = check(speed="false", colour="null", scan="true")
    assert [parser.get_parsed_content(name) for name in ("speed", "colour", "scan")] == [False, None, True]
    assert parser.get_parsed_content("engine").firstweekday == 0
    assert check(colour="nullified").get_parsed_content("colour") == "nullified"


def test_a_file_name_that_reads_as_an_expression():
    with pytest.raises(
        InputError, match=r"--scan: got '\$T1.nii.gz', which a bundle run reads as an expression and can"
    ):
        check(scan="$T1.nii.gz")
    assert check(scan="$'T1' + '.nii'").get_parsed_content("scan") == "T1.nii"


def test_sections_that_no_config_has():
    files = [str(REPOSITORY / "bundles" / "stroke" / "configs" / name) for name in ("inference.yaml", "train.yaml")]
    check_sections(["steps", "writer#strict", "train#nothing", "network_def::patch"], files)
    for name, hint in (("nosuch#key", "see the bundle's config"), ("writers::strict", "did you mean --writer#…?")):
        section = name.split("#")[0].split("::")[0]
        with pytest.raises(InputError, match=f"^--{name}: no config has a section '{section}'; {hint}"):
            check_sections([name], files)
    with pytest.raises(InputError, match="no config has a section 'train'"):
        check_sections(["train#nothing"], files[:1])


# --- the verbs -------------------------------------------------------------------------------------------------------

FILES = ("scan.nii.gz", "lesion.nii.gz")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"stepz": 3}, "--stepz: unknown option (value 3); did you mean --steps?"),
        ({"nosuch#key": 3}, "--nosuch#key: no config has a section 'nosuch'; see the bundle's config for the known"),
        ({"writter#strict": 3}, "--writter#strict: no config has a section 'writter'; did you mean --writer#…?"),
        ({"inferer#stepz": 3}, "--inferer#stepz: mededit_monai.methods.build.editor_of takes no such argument; it ta"),
        ({"writer#restored": "x"}, "--writer#restored: mededit_monai.handlers.EditWriter takes no such argument; did"),
        (
            {"network_def#chanels": 3},
            "--network_def#chanels: mededit_monai.methods.build.method_network takes no such a",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_edit_with_what_has_no_effect(tmp_path, options, sentence):
    with pytest.raises(InputError) as caught:
        edit(*FILES, tmp_path / "out", **options)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_training_with_what_has_no_effect(tmp_path):
    for name, sentence in (
        ("nosuch#key", "--nosuch#key: no config has a section 'nosuch'; "),
        ("max_epochz", "--max_epochz: .*did you mean (--)?max_epochs"),
    ):
        with pytest.raises(InputError, match=f"^{sentence}"):
            train(output_dir=tmp_path / "out", **{name: 3})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["edit", "train"])
def test_a_section_that_is_none_ends_a_verb_in_order(verb, tmp_path, monkeypatch, mededit):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    done = mededit(verb, "--nosuch#key", "3", "-o", "out")
    assert done.code == 2 and "nosuch#key" in done.err.strip().splitlines()[-1]
    assert "Traceback" not in done.said and "fault of the program" not in done.said
    assert not list(tmp_path.iterdir())


def test_a_file_whose_name_is_an_expression_is_a_file_to_mededit(tmp_path, monkeypatch, mededit):  # noqa: F811
    """Values from `mededit` and from Python are data; only MONAI's own command reads them as its language."""
    monkeypatch.chdir(tmp_path)
    done = mededit("edit", "--scan", "$T1.nii.gz", "--pathology", "@lesion.nii.gz")
    assert done.refused("$T1.nii.gz: not found (--scan, case '$T1')")


def test_words_reach_an_edit_as_what_they_mean():
    """The repository is no bundle, and its configs/ holds files that MONAI cannot read: no reason to stop."""
    settings = bundle_content("stroke", ("settings",), start=None, exact=True)[0]
    assert settings.start is None and settings.exact is True
    parser = ConfigParser()
    parser.read_config(str(REPOSITORY / "bundles" / "stroke" / "configs" / "inference.yaml"))
    parser.update({"bundle_root": str(REPOSITORY), "exact": "true", "start": "null", "progress": "false"})
    with raising_bad_input():
        parser.parse()
        check_edit_run(parser)
    assert [parser.get_parsed_content(name) for name in ("exact", "start", "progress")] == [True, None, False]
    with pytest.raises(InputError, match="metadata.json"), raising_bad_input(), running(parser):
        edit_settings(parser)  # it is --bundle_root that is wrong
