# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input: one sentence on stderr and exit code 2, from every entry point."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class InputError(ValueError):
    """
    Something the user gave cannot be used. The message is one sentence that names the file or option, the value found,
    the value wanted and the way out.
    """


def require_choice(name: str, value: Any, known: Sequence[Any]) -> None:
    """
    Refuse an option's value that is none of the known ones, naming the nearest.

    Raises:
        InputError: for any other value.
    """
    if value not in known:
        near = difflib.get_close_matches(str(value), [str(k) for k in known if k is not None], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise InputError(f"--{name}: got '{value}', wanted one of {', '.join(map(str, known))}{hint}")


def require_whole(name: str, value: Any, least: int, optional: bool = False) -> None:
    """
    Refuse what is not a whole number of at least ``least``.

    Args:
        name: of the option.
        optional: whether None, not given, will do.

    Raises:
        InputError: names the option, the value found and the least one wanted.
    """
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"--{name}: got {value!r}, wanted a whole number of at least {least}.")


def find_input_error(error: BaseException | None) -> InputError | None:
    """The :class:`InputError` an exception stems from, if any: MONAI wraps what transforms and configs raise."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, InputError):
            return error
        if type(error).__name__ == "OptionalImportError":  # MONAI's, named so that MONAI is not imported for it
            return InputError(f"{error}; this option needs a package more: pip install 'mededit_monai[all]'.")
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def exit_on_bad_input() -> Iterator[None]:
    """
    Turn an :class:`InputError` raised inside, however wrapped, into its sentence on stderr and exit code 2.

    ``SystemExit`` passes through MONAI's config expressions, which would swallow any other exception's message.
    """
    try:
        yield
    except Exception as error:
        bad_input = find_input_error(error)
        if bad_input is None:
            raise
        print(f"mededit: {' '.join(str(bad_input).split())}", file=sys.stderr, flush=True)
        raise SystemExit(2) from None


_called_from_python: ContextVar[bool] = ContextVar("called_from_python", default=False)


@contextmanager
def raising_bad_input() -> Iterator[None]:
    """For Python callers: whatever MONAI wrapped an :class:`InputError` in, that error alone comes out, as one line."""
    token = _called_from_python.set(True)
    try:
        yield
    except Exception as error:
        bad_input = find_input_error(error)
        if bad_input is None:
            raise
        raise InputError(" ".join(str(bad_input).split())) from None
    finally:
        _called_from_python.reset(token)


@contextmanager
def reporting_bad_input() -> Iterator[None]:
    """In a bundle run: one sentence on stderr and exit code 2. Inside :func:`raising_bad_input`: the error itself."""
    if _called_from_python.get():
        yield
    else:
        with exit_on_bad_input():
            yield
