# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle run refuses before anything is built: whatever would change nothing and say nothing."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from monai.bundle import ConfigParser
from promises.verbs import mededit  # noqa: F401

from mededit_monai import edit
from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.core.guard import check_run, check_sections, said_by_files, unused_options
from mededit_monai.core.running import running
from mededit_monai.methods.edit_run import check_edit_run, edit_settings
from mededit_monai.synthesis.run import check_synthesis_run
from mededit_monai.workflows import bundle_content, synthesize, train

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


def of_files(*files: Path, bundle: Path, said: bool = False, **overrides: Any) -> ConfigParser:
    """A run of config files, guarded; said: whether the run tells which they are, as those of this package do."""
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    parser.update({"bundle_root": str(bundle), **{name.replace("__", "#"): one for name, one in overrides.items()}})
    with raising_bad_input(), running(parser, [str(file) for file in files] if said else ()):
        parser.parse()
        check_run(parser)
    return parser


@pytest.fixture
def bundle(tmp_path) -> Path:
    """Two configs of a bundle, of which a run reads one, and a file to lay over them."""
    (tmp_path / "configs").mkdir()
    made = "engine: {_target_: calendar.Calendar, firstweekday: '@speed'}\nrun: ['$@engine']\n"
    (tmp_path / "configs" / "walk.yaml").write_text(f"speed: 3\n{made}")
    (tmp_path / "configs" / "swim.yaml").write_text(f"speed: 3\ndepth: 2\nlanes: ['$@depth']\n{made}")
    (tmp_path / "mine.yaml").write_text("depth: 5\n")
    return tmp_path


@pytest.mark.parametrize("said", [True, False], ids=["of this package", "of MONAI's command"])
def test_options_of_a_config_that_was_not_read_are_unknown(bundle, said):
    """It is another run's, and in this one it changes nothing."""
    walk, swim = (bundle / "configs" / name for name in ("walk.yaml", "swim.yaml"))
    assert of_files(swim, bundle=bundle, said=said, depth=4).get("depth") == 4
    with pytest.raises(InputError, match="^--depth: unknown option .value 2.; see the bundle's config"):
        of_files(walk, bundle=bundle, said=said, depth=2)


@pytest.mark.parametrize("said", [True, False], ids=["of this package", "of MONAI's command"])
def test_an_option_whose_last_reference_was_cut_stays_as_the_file_has_it(bundle, said):
    walk = bundle / "configs" / "walk.yaml"
    assert of_files(walk, bundle=bundle, said=said, engine__firstweekday=5).get("speed") == 3
    with pytest.raises(InputError, match="^--speed: got 4, but nothing in this run looks at it; leave it out"):
        of_files(walk, bundle=bundle, said=said, engine__firstweekday=5, speed=4)


def test_what_a_file_of_one_s_own_says_is_no_override(bundle):
    """It may be laid over the config of another run too, which knows the option."""
    files = (bundle / "configs" / "walk.yaml", bundle / "mine.yaml")
    parser = of_files(*files, bundle=bundle, said=True)
    with running(parser, [str(file) for file in files]):
        assert said_by_files(parser) == {"speed": True, "engine": True, "run": True, "depth": True}
    with pytest.raises(InputError, match="^--depth: got 6, but nothing in this run looks at it"):
        of_files(*files, bundle=bundle, said=True, depth=6)


def test_what_only_an_unused_item_refers_to_is_unused():
    config = {"a": 1, "b": "$@a", "c": "$@b", "d": 2, "e": "$@d", "f": 3, "run": ["$@e"]}
    assert unused_options(ConfigParser(config), {"a", "d", "f", "missing"}) == {"a", "f", "missing"}
    assert unused_options(ConfigParser(config), {"a", "d", "f"}, read={"c"}) == {"f"}


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


@pytest.mark.parametrize("name", ["guidance", "samples", "steps"])
def test_a_training_with_options_of_an_edit(tmp_path, name):
    with pytest.raises(InputError, match=f"^--{name}: unknown option .value 3.;"):
        train(output_dir=tmp_path / "out", **{name: 3})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["learning_rate", "max_epochs"])
def test_an_edit_and_a_synthesis_with_options_of_a_training(tmp_path, name):
    runs = (partial(edit, *FILES), partial(synthesize, FILES[1], overlays=["four_modalities.yaml"]))
    for run in runs:
        with pytest.raises(InputError, match=f"^--{name}: unknown option .value 3.;"):
            run(output_dir=tmp_path / "out", **{name: 3})
    assert not (tmp_path / "out").exists()


def test_what_an_evaluation_reads_by_name_is_its_own():
    """A synthesis alone does nothing with it."""
    configs = REPOSITORY / "bundles" / "semantic_synthesis" / "configs"
    files = [configs / "inference.yaml", configs / "evaluate.yaml"]
    for read in (files, files[:1]):
        parser = ConfigParser()
        parser.read_config([str(file) for file in read])
        parser.update({"bundle_root": str(configs.parent), "limit": 2})
        with raising_bad_input(), nullcontext() if read is files else pytest.raises(InputError, match="^--limit: unk"):
            parser.parse()
            check_synthesis_run(parser)


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
