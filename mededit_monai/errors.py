# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input: one sentence on stderr and exit code 2, from every entry point."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """
    Something the user gave cannot be used. The message is one sentence that names the file or option, the value found,
    the value wanted and the way out.
    """


def find_input_error(error: BaseException | None) -> InputError | None:
    """The :class:`InputError` an exception stems from, if any: MONAI wraps what transforms and configs raise."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, InputError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def exit_on_bad_input() -> Iterator[None]:
    """
    Turn an :class:`InputError` raised inside (or wrapped by what is raised) into its sentence on stderr and exit code 2.

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
