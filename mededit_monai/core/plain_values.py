# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Values from people to MONAI's config parser, as data and nothing else.

The parser reads texts as a language: ``$`` runs Python, ``@`` and ``%`` refer to other items, ``_target_`` names what
is called. A file may be called ``$T1.nii.gz``, so what comes from the command line, from Python or from a datalist is
written in a way in which none of these mean anything.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError

_START, _END = "$bytes.fromhex('", "').decode('utf-8', 'surrogateescape')"

#: Texts that the parser takes as they are: words and numbers of options.
_HARMLESS = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")

#: Words that would be taken for something else than text.
_WORDS = ("true", "false", "null", "none")

#: What runs a bundle, in its configs and as MONAI's workflow takes it; a person gives options, not these.
_RESERVED = (
    "imports",
    "initialize",
    "finalize",
    "run",
    "training",
    "inference",
    "evaluating",
    "settings",
    "bundle_root",
)
_RESERVED += ("run_id", "init_id", "final_id", "workflow_type", "properties_path")
_RESERVED += ("config_file", "meta_file", "logging_file")


def plain_value(name: str, value: Any) -> Any:
    """
    An option's value as Python's own numbers and texts: NumPy's scalars, paths, tuples.

    Args:
        name: of the option.

    Raises:
        InputError: something that no option can be, or a mapping that names what to call.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str) and "\0" in value:
        raise InputError(f"--{name}: got {value!r}, which holds a null character; no file or word has one.")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray) and value.ndim <= 1:
        return plain_value(name, value.tolist())
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key.startswith("_"):
                raise InputError(
                    f"--{name}: holds '{key}', which decides what is run; put it in a config file of yours."
                )
        return {key: plain_value(name, one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain_value(name, one) for one in value]
    raise InputError(f"--{name}: got {value!r} ({type(value).__name__}), wanted a number, a text, a path or a list.")


def as_data(value: Any) -> Any:
    """A value of :func:`plain_value` as the parser gives it back unchanged, whatever it spells."""
    if isinstance(value, str):
        if _HARMLESS.fullmatch(value) and value.lower() not in _WORDS:
            return value
        return f"{_START}{value.encode('utf-8', 'surrogateescape').hex()}{_END}"
    if isinstance(value, Mapping):
        return {key: as_data(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_data(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return f"$float('{value}')"
    return value


def shown(value: Any) -> Any:
    """What :func:`as_data` was given, for messages."""
    if isinstance(value, str) and value.startswith(_START) and value.endswith(_END):
        return bytes.fromhex(value[len(_START) : -len(_END)]).decode("utf-8", "surrogateescape")
    return value


def require_option_name(name: str) -> None:
    """
    Refuse names that decide what is run instead of how.

    Raises:
        InputError: a part that begins with ``_``, a name that runs a bundle, or one that is no name.
    """
    parts = re.split(r"#|::", name)
    if any(part.startswith("_") for part in parts) or parts[0] in _RESERVED:
        raise InputError(f"--{name}: decides what is run and is no option; put it in a config file of yours.")
    if not re.fullmatch(r"[A-Za-z0-9_#:]+", name):
        raise InputError(f"--{name}: is not the name of an option; options are given as --name value.")


def as_written(value: Any) -> Any:
    """A config's value with its references as a file writes them (``#``); MONAI's parser writes another sign."""
    if isinstance(value, (list, tuple)):
        return [as_written(one) for one in value]
    return value.replace("::", "#") if isinstance(value, str) else value
