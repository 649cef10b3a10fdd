# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
