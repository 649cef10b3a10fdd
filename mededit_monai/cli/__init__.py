# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit`: one verb a file."""

from typing import Any

from mededit_monai.cli.program import main, make_app

__all__ = ["app", "main", "make_app"]


def __getattr__(name: str) -> Any:
    """``app``, for whoever runs the program's commands: made anew, as plugins may have come."""
    if name == "app":
        return make_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
