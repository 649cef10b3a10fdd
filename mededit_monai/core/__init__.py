# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What every room stands on: errors, options, paths, programs."""
