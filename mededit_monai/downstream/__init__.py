# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What synthetic cases are worth to a segmentation network: trained with and without them, measured on real ones."""
