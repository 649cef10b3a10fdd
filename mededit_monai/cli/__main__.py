# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m mededit_monai.cli``."""

from mededit_monai.cli.program import main

main()
