# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What callers in Python catch: bad input, in one sentence."""

from mededit_monai.core.errors import InputError

__all__ = ["InputError"]
