# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Texts from people are data: whatever they spell, the parser gives them back and runs nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigParser

from mededit_monai.core.errors import InputError
from mededit_monai.core.plain_values import as_data, plain_value, require_option_name, shown

#: What a language would take for something: expressions, references, macros, sections, numbers, words, and worse.
HOSTILE = [
    "$open('pwned', 'w').write('x')",
    "$T1.nii.gz",
    "$",
    "%T1.nii.gz",
    "%scan",
    "@scan",
    "a@b#c.nii.gz",
    "a::b",
    "a#0",
    "@#0",
    "12345",
    "007",
    "1e3",
    "true",
    "False",
    "null",
    "None",
    "nan",
    "",
    " ",
    "a b",
    'it\'s "quoted"',
    "{name}",
    "{{ config }}",
    "%s %d %(x)s",
    "\\x41\\",
    "line\nbreak",
    "Zoë Müller",
    "脳.nii.gz",
    "\udce9t\udce9.nii.gz",  # a name that is not UTF-8
    "__import__('os').system('touch pwned')",
    "_target_",
    "-o",
    "~",
    "*?[a]",
    "../../etc",
    "; rm -rf x",
    "`touch pwned`",
    "word",
]


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: [t, 1], lambda t: {"key": t}], ids=["text", "list", "mapping"])
def test_the_parser_gives_a_text_back_as_it_is(tmp_path, monkeypatch, text, wrap):
    monkeypatch.chdir(tmp_path)
    parser = ConfigParser({"given": None, "used": "$@given", "scan": "other"})
    parser.update({"given": as_data(plain_value("given", wrap(text)))})
    assert parser.get_parsed_content("given") == wrap(text)
    assert parser.get_parsed_content("used") == wrap(text)
    assert list(tmp_path.iterdir()) == []
    assert shown(as_data(text)) == text


@pytest.mark.parametrize(
    "value, plain",
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (Path("a/b"), "a/b"),
        ((1, 2), [1, 2]),
        (np.array([1, 2]), [1, 2]),
        (np.array(7), 7),
        ({"a": (np.int8(1),)}, {"a": [1]}),
        (None, None),
    ],
    ids=repr,
)
def test_values_of_python_and_numpy(value, plain):
    found = plain_value("x", value)
    assert found == plain and type(found) is type(plain)


def test_numbers_that_are_none_pass_through_to_be_refused_by_name():
    parser = ConfigParser({"x": as_data(float("nan"))})
    assert np.isnan(parser.get_parsed_content("x"))


@pytest.mark.parametrize(
    "value",
    [object(), b"bytes", np.zeros((2, 2)), "a\0b", {"_target_": "os.system"}, [{"_target_": "os.system"}], {1: 2}, {3}],
)
def test_what_no_option_can_be(value):
    with pytest.raises(InputError, match="--x: "):
        plain_value("x", value)


@pytest.mark.parametrize(
    "name",
    ["_target_", "a#_target_", "a::_mode_", "imports", "run", "initialize", "run_id", "meta_file", "a b", "a.b", ""],
)
def test_names_that_decide_what_is_run(name):
    with pytest.raises(InputError, match="no option|not the name"):
        require_option_name(name)


@pytest.mark.parametrize("name", ["steps", "train#trainer#max_epochs", "network_def::channels", "handlers#0#k"])
def test_names_of_options(name):
    require_option_name(name)
