# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from mededit_monai.core.errors import InputError, exit_on_bad_input, find_input_error

BAD = InputError("scan.nii: not found; give another.")


def raised(body) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: B017
        body()
    return caught.value


def from_cause():
    try:
        raise BAD
    except InputError as error:
        raise RuntimeError("applying transform") from error


def from_context():
    try:
        raise BAD
    except InputError:
        raise KeyError("while handling")  # noqa: B904


def twice_wrapped():
    try:
        from_cause()
    except RuntimeError as error:
        raise RuntimeError("evaluating the config") from error


def unrelated():
    try:
        raise KeyError("a")
    except KeyError as error:
        raise RuntimeError("b") from error


@pytest.mark.parametrize("body", [from_cause, from_context, twice_wrapped])
def test_bad_input_is_found_behind_what_wraps_it(body):
    assert find_input_error(raised(body)) is BAD


def test_bad_input_itself_and_what_is_none():
    assert find_input_error(BAD) is BAD
    assert find_input_error(raised(unrelated)) is None
    assert find_input_error(None) is None


def test_a_circle_of_causes_ends():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert find_input_error(first) is None


def test_the_outermost_sentence_wins():
    outer = InputError("case 3: scan.nii: not found; give another.")
    outer.__cause__ = BAD
    wrapper = RuntimeError("wrapped")
    wrapper.__cause__ = outer
    assert find_input_error(wrapper) is outer


def test_a_bad_input_is_a_value_error():
    assert isinstance(BAD, ValueError)


@pytest.mark.parametrize("body", [lambda: raised_directly(BAD), from_cause, from_context, twice_wrapped])
def test_one_sentence_and_exit_code_2(body, capsys):
    with pytest.raises(SystemExit) as caught, exit_on_bad_input():
        body()
    assert caught.value.code == 2
    streams = capsys.readouterr()
    assert streams.err == "mededit: scan.nii: not found; give another.\n" and streams.out == ""
    assert caught.value.__suppress_context__  # no traceback of the cause


def raised_directly(error: BaseException) -> None:
    raise error


def test_a_sentence_stays_on_one_line(capsys):
    with pytest.raises(SystemExit), exit_on_bad_input():
        raise InputError("a:\n  broken   over\n\tlines.")
    assert capsys.readouterr().err == "mededit: a: broken over lines.\n"


@pytest.mark.parametrize("error", [RuntimeError("a fault of ours"), KeyboardInterrupt(), SystemExit(3)])
def test_other_errors_pass_through(error, capsys):
    with pytest.raises(type(error)) as caught, exit_on_bad_input():
        raise error
    assert caught.value is error and capsys.readouterr().err == ""


def test_nothing_happens_where_nothing_is_wrong(capsys):
    with exit_on_bad_input():
        result = 1 + 1
    assert result == 2 and capsys.readouterr().err == ""


def test_callers_catch_it_where_they_always_did():
    from mededit_monai.errors import InputError as public

    assert public is InputError
