# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""From segmentations to volumes: labels, what the network is told, and how a mask of one's own becomes a brain."""
