# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""An option that nothing in a training looks at is refused, and not written down as if it had acted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from monai.bundle import ConfigParser

from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.core.running import running
from mededit_monai.training.train_run import check_training_run, training_settings
from mededit_monai.workflows import train

STROKE, SEMANTIC = (REPOSITORY / "bundles" / name for name in ("stroke", "semantic_synthesis"))
AUTOENCODER = SEMANTIC / "configs" / "autoencoder.yaml"
EFFECTS, RELEASE = (REPOSITORY / "configs" / f"{name}.yaml" for name in ("effects", "release"))

#: Of the training of whole volumes, and further ones of the autoencoder's.
OF_SLICES = {"contrast": 0.7, "bias": 0.5, "lesion_free_share": 0.3, "cohort_size": 9, "validation_size": 9}
OF_SLICES |= {"preview_interval": 5}
OF_A_DENOISER: dict[str, Any] = {"spatial_dims": 2, "channels": [8, 8, 8], "attention_levels": [True, True, True]}
OF_A_DENOISER |= {"num_head_channels": 8, "norm_num_groups": 4, "patch": 4, "conditioning": "spade"}


def checked(bundle: Path, *overlays: Path, said: bool = True, **options: Any) -> ConfigParser:
    """The config of a training, guarded; said: whether the run tells which files it was read from."""
    files = [str(bundle / "configs" / "train.yaml"), *map(str, overlays)]
    parser = ConfigParser()
    parser.read_config(files)
    parser.update({"bundle_root": str(bundle), "device": "cpu", **options})
    with raising_bad_input(), running(parser, files if said else ()):
        parser.parse()
        check_training_run(parser)
    return parser


CASES = [
    *((SEMANTIC, (), name, value) for name, value in OF_SLICES.items()),
    *((SEMANTIC, (AUTOENCODER,), name, value) for name, value in (OF_SLICES | OF_A_DENOISER).items()),
    (STROKE, (EFFECTS,), "preview_interval", 5),
]


@pytest.mark.parametrize("said", [True, False], ids=["of this package", "of MONAI's command"])
@pytest.mark.parametrize(
    ("bundle", "overlays", "name", "value"), CASES, ids=["-".join([*(o.stem for o in c[1]), c[2]]) for c in CASES]
)
def test_an_option_that_nothing_looks_at_is_refused(bundle, overlays, name, value, said):
    with pytest.raises(InputError) as caught:
        checked(bundle, *overlays, said=said, **{name: value})
    assert str(caught.value) == f"--{name}: got {value!r}, but nothing in this training looks at it; leave it out."


def test_the_last_file_that_says_it_counts():
    """train.yaml has a linear guess, and the overlay takes it away; a run that says its files knows their order."""
    with pytest.raises(InputError, match="^--linear_guess: got True, but nothing in this training looks at it"):
        checked(SEMANTIC, AUTOENCODER, linear_guess=True)


def test_a_training_ends_with_it_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="^--contrast: got 0.7, but nothing in this training looks at it"):
        train(SEMANTIC, output_dir=tmp_path / "out", contrast=0.7)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bundle", [SEMANTIC, STROKE], ids=lambda one: one.name)
def test_what_something_looks_at_may_be_changed(bundle):
    """Those that nothing refers to, but ``settings`` passes on, among them."""
    checked(bundle, condition="box", loss_kind="huber", flip=0.0, epoch_cases=9, patch=4, val_interval=3, seed=7)
    checked(STROKE, EFFECTS, near_weight=1.0, slope_weight=1.0, contrast=0.1, spatial_dims=3)
    checked(STROKE, STROKE / "configs" / "train_palette.yaml", hole="mask", preview_interval=5)
    checked(SEMANTIC, AUTOENCODER, kl_weight=0.5, latent_channels=3, autoencoder_channels=[8, 8])


def test_a_value_that_changes_nothing_is_no_mistake():
    checked(SEMANTIC, contrast=0.0, preview_interval=1, lesion_free_share=0.15)
    checked(STROKE, EFFECTS, preview_interval=0)


BY_FILES = [
    *(
        (STROKE, (REPOSITORY / "configs" / f"{name}.yaml",))
        for name in ("condition_box", "effects", "paint", "release", "small", "thesis", "volumes")
    ),
    *((STROKE, (STROKE / "configs" / f"{name}.yaml",)) for name in ("train_palette", "multi_gpu_train")),
    *((SEMANTIC, (SEMANTIC / "configs" / f"{n}.yaml",)) for n in ("four_modalities", "latent", "multi_gpu_train")),
    *((SEMANTIC, (REPOSITORY / "configs" / f"med_ddpm_{name}.yaml",)) for name in ("96", "t1", "brats4")),
    (STROKE, (EFFECTS, RELEASE)),
    (STROKE, (RELEASE, EFFECTS)),
    (SEMANTIC, (SEMANTIC / "configs" / "four_modalities.yaml", AUTOENCODER)),
    *((SEMANTIC, (REPOSITORY / "configs" / f"med_ddpm_{name}.yaml", AUTOENCODER)) for name in ("96", "t1", "brats4")),
]


@pytest.mark.parametrize("said", [True, False], ids=["of this package", "of MONAI's command"])
@pytest.mark.parametrize(
    ("bundle", "overlays"), BY_FILES, ids=lambda one: "+".join(o.stem for o in one) if isinstance(one, tuple) else ""
)
def test_what_a_file_laid_over_says_is_nobody_s_mistake(bundle, overlays, said):
    checked(bundle, *overlays, said=said)


def test_nor_is_what_a_file_of_one_s_own_says(tmp_path):
    """A size of one's own is laid over the training of the autoencoder and over that of the diffusion."""
    own = tmp_path / "own.yaml"
    own.write_text("channels: [8, 8, 8]\n")
    checked(SEMANTIC, own, AUTOENCODER)
    with pytest.raises(InputError, match="^--channels: got .8, 8., but nothing in this training looks at it"):
        checked(SEMANTIC, own, AUTOENCODER, channels=[8, 8])


@pytest.mark.parametrize(
    ("bundle", "overlays", "without"),
    [
        (SEMANTIC, (), {"contrast", "bias", "lesion_free_share", "cohort_size"}),
        (
            SEMANTIC,
            (AUTOENCODER,),
            {"contrast", "bias", "lesion_free_share", "cohort_size", "linear_guess", *OF_A_DENOISER},
        ),
        (STROKE, (), set()),
        (STROKE, (EFFECTS,), set()),
    ],
    ids=["volumes", "autoencoder", "slices", "effects"],
)
def test_what_nothing_looks_at_is_not_written_down(bundle, overlays, without):
    found = training_settings(checked(bundle, *overlays))
    everything = super(type(found), found).recorded()
    assert set(everything) - set(found.recorded()) == without
    assert found.recorded().items() <= everything.items()
    assert {"seed", "family", "condition", "loss_kind", "flip", "batch_size"} <= set(found.recorded())
