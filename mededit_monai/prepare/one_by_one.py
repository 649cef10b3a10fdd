# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""One case's fault is that case's: refused at once, or noted so that the others go on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from monai.transforms import Transform

from mededit_monai.core.errors import InputError, find_input_error
from mededit_monai.core.program import fault_sentence


class OneByOne(Transform):
    """
    Apply transforms to a case, and decide what becomes of it if it cannot be used.

    Args:
        transform: of a case.
        strict: whether a case with ``warnings`` is refused.
        keep_going: whether a case that fails comes back as ``{"case_id": …, "failed": sentence}`` instead of ending
            the run.

    Raises:
        InputError: for a case that is refused; one that brings ``failed`` along is refused with that sentence.
    """

    def __init__(self, transform: Callable[[Any], Any], strict: bool = False, keep_going: bool = False) -> None:
        self.transform, self.strict, self.keep_going = transform, strict, keep_going

    def __call__(self, data: Mapping[Hashable, Any]) -> Any:
        try:
            if data.get("failed"):
                raise InputError(data["failed"])
            case = self.transform(data)
            refuse_warnings(case.get("warnings", ()), self.strict)
            return case
        except Exception as error:
            if not self.keep_going:
                raise
            return failed_case(data["case_id"], error)


def failed_case(case_id: str, error: Exception) -> dict[str, str]:
    """A case that failed, and why, in one sentence: bad input, or a fault of ours, whose traceback goes to a file."""
    bad_input = find_input_error(error)
    sentence = fault_sentence(error) if bad_input is None else str(bad_input)
    return {"case_id": case_id, "failed": " ".join(sentence.split())}


def refuse_warnings(warnings: Any, strict: bool) -> None:
    """
    Raises:
        InputError: the first warning, if there is one and they are not to pass.
    """
    if strict and warnings:
        raise InputError(
            f"{' '.join(warnings)} Refused, since --strict was given; leave it out to go on with a warning."
        )
