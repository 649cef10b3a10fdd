# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit`: one verb a file."""

from mededit_monai.cli.program import app, main

__all__ = ["app", "main"]
