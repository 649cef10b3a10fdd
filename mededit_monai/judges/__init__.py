# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Networks that look at images and say what they see: lesions, tumour regions, ventricles, features."""
