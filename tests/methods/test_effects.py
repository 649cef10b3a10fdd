# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Indirect effects in front of a method: what moves, how strongly, and what does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gaussian import scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import DISEASES
from mededit_monai.methods.build import build_editor, editor_of, effects_network, effects_weights_of
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.methods.editor import Edit, Editor
from mededit_monai.methods.effects import FARTHEST, EffectsEditor, drawn_factor, effects_channels
from mededit_monai.networks.effects_network import Effects, EffectsNetwork
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.conditions import fused_channels
from mededit_monai.space.flow import determinant

PIXEL = 1.82


class Mover(torch.nn.Module):
    """A velocity that is given, in mm, and a spread a row; counts the rows that it is asked for."""

    def __init__(self, velocity: torch.Tensor, spread: float | list[float] = 0.28) -> None:
        super().__init__()
        self.field, self.spread, self.asked = velocity, spread, []

    def velocity(self, x: torch.Tensor, global_atrophy: float = 0.0) -> Effects:
        self.asked.append(len(x))
        field = (1 + global_atrophy) * self.field.expand(len(x), *self.field.shape[1:])
        spread = (
            torch.tensor(self.spread).expand(len(x)) if isinstance(self.spread, float) else torch.tensor(self.spread)
        )
        return Effects(field, spread, PIXEL)


class Seeing(Editor):
    """Adds what it is told to where the lesion is; remembers the scan that it was given."""

    def __init__(self, change: float = 0.0) -> None:
        super().__init__(scheduler(), steps=1)
        self.change, self.scans = change, []

    def region(self, brain, pathology):
        return pathology.amax(dim=1, keepdim=True) > 0

    def edit(self, prior, calls, brain, pathology, region, seeds):
        self.scans.append(prior)
        calls.count += 3
        return Edit(torch.where(region, prior + self.change, prior), region, calls.count, {"note": seeds})


def bump(size: int = 64, peak: float = 4.0, dims: int = 2) -> torch.Tensor:
    """A velocity of up to ``peak`` mm along x, smooth, exactly 0 from 24 pixels off the middle on."""
    axes = torch.meshgrid(*[torch.arange(size) - size // 2] * dims, indexing="ij")
    r = sum(axis.float() ** 2 for axis in axes).sqrt()
    field = torch.zeros(1, dims, *[size] * dims)
    field[0, 0] = peak * torch.where(r < 24, torch.cos(r / 24 * math.pi / 2) ** 2, torch.zeros(()))
    return field


def smooth_case(size: int = 64, cases: int = 1, dims: int = 2) -> dict[str, torch.Tensor]:
    """A scan of long waves, all brain but for a frame, with a small lesion."""
    axes = torch.meshgrid(*[torch.arange(size, dtype=torch.float32)] * dims, indexing="ij")
    scan = 0.5 * torch.sin(2 * math.pi * axes[0] / 32) * torch.cos(2 * math.pi * axes[1] / 40)
    brain, lesion = torch.zeros(2, cases, 1, *[size] * dims)
    brain[(..., *[slice(2, -2)] * dims)] = 1
    lesion[(..., *[slice(30, 33)] * dims)] = 1
    return {"inputs": scan.expand(cases, 1, *scan.shape).contiguous(), "brain": brain, "pathology": lesion}


def run(velocity: torch.Tensor, editor: Editor | None = None, case=None, spread=0.28, call=None, **settings) -> Edit:
    wrapper = EffectsEditor(editor or Seeing(), Mover(velocity, spread), **settings)
    case = case or smooth_case()
    return wrapper(network=None, **{"seeds": list(range(len(case["inputs"]))), **(call or {})}, **case)


# --- what moves ------------------------------------------------------------------------------------------------------


def test_a_shift_is_a_pull_back_in_millimetres():
    """Velocity 2 pixels along x everywhere: out(r) = in(r + 2), and the displacement says 2 · 1.82 mm."""
    velocity = torch.zeros(1, 2, 64, 64)
    velocity[:, 0] = 2 * PIXEL
    editor = Seeing(0.25)
    case = smooth_case()
    edit = run(velocity, editor, case)
    assert torch.allclose(edit.image[..., 40:62, :], case["inputs"][..., 42:64, :], atol=1e-5)
    assert torch.allclose(edit.extras["displacement"], velocity, atol=1e-5)
    assert torch.allclose(edit.extras["inverse"], -velocity, atol=1e-5)
    (seen,) = editor.scans
    assert torch.equal(seen, edit.extras["displaced"])
    lesion = case["pathology"] > 0  # is not displaced: it is where the mask says
    assert torch.equal(edit.extras["painted"], lesion)
    assert torch.equal((edit.image != seen), lesion) and torch.allclose(edit.image[lesion], seen[lesion] + 0.25)


def test_the_region_is_what_moved_and_what_the_method_changed():
    velocity = bump()
    velocity[..., 28:36, 28:36] = 0  # where the lesion is nothing moves
    edit = run(velocity, Seeing(0.1))
    moved = (velocity != 0).any(dim=1, keepdim=True)
    assert torch.equal(edit.region, moved | (smooth_case()["pathology"] > 0))
    assert torch.equal((edit.extras["displacement"] != 0).any(dim=1, keepdim=True), moved)
    same = ~edit.region
    assert torch.equal(edit.image[same], smooth_case()["inputs"][same])
    assert edit.evaluations == 3 + 1 and edit.extras["note"] == [0]


@pytest.mark.parametrize("dims", [2, 3])
def test_the_opposite_strength_undoes_it(dims):
    """φ⁻¹ after φ: to within what two linear interpolations of waves of 32 pixels lose, (2π/32)² / 8 · 0.5 each."""
    case = smooth_case(dims=dims)
    there = run(bump(dims=dims), case=case)
    moved = (there.image - case["inputs"]).abs().max()
    back = run(bump(dims=dims), case=case | {"inputs": there.image}, strength=-1.0)
    assert moved > 0.15 and (back.image - case["inputs"]).abs().max() < 2 * (2 * math.pi / 32) ** 2 / 8
    assert torch.equal(back.extras["displacement"], there.extras["inverse"])
    assert determinant(there.extras["displacement"] / PIXEL).min() > 0


def test_strength_is_the_time_of_the_flow():
    """Along the middle line, where the velocity is along x: u grows with s, twice one half is not one but composes."""
    half, whole = (run(bump(), strength=s).extras["displacement"] for s in (0.5, 1.0))
    rows = torch.arange(64)
    u = half[0, 0, :, 32] / PIXEL
    once = np.interp(rows + u.numpy(), rows, u.numpy())
    assert np.abs(u.numpy() + once - whole[0, 0, :, 32].numpy() / PIXEL).max() < 0.01
    assert whole.abs().max() > 3.5


def test_no_strength_is_no_displacement():
    edit = run(bump(), Seeing(0.1), strength=1.0, call={"shares": [0.0]})
    case = smooth_case()
    assert torch.equal(edit.extras["displaced"], case["inputs"]) and not edit.extras["displacement"].any()
    assert torch.equal(edit.region, case["pathology"] > 0) and torch.equal(edit.image != case["inputs"], edit.region)


def test_global_atrophy_reaches_the_network():
    plain, more = (run(bump(peak=1.0), global_atrophy=g).extras["velocity"] for g in (0.0, 0.5))
    assert torch.allclose(more, 1.5 * plain) and plain.any()


def small_network(dims: int = 2) -> EffectsNetwork:
    torch.manual_seed(0)
    size = {"channels": (8, 16), "attention_levels": (False, False), "norm_num_groups": 4, "num_head_channels": 8}
    network = EffectsNetwork(dims, pixel_mm=PIXEL, **size)
    for parameter in network.unet.out.parameters():
        torch.nn.init.normal_(parameter, std=2.0)
    return network.eval()


@pytest.mark.parametrize("dims", [2, 3])
def test_without_lesion_nothing_moves(dims):
    """Whatever the network says: the identity, bit for bit; with the lesion there, the same weights do move."""
    case = smooth_case(dims=dims, size=40)
    wrapper = EffectsEditor(Seeing(0.1), small_network(dims), global_atrophy=1.0)
    healthy = case | {"pathology": torch.zeros_like(case["pathology"])}
    edit = wrapper(network=None, seeds=[1], **healthy)
    assert torch.equal(edit.image, case["inputs"]) and not edit.region.any()
    moved = wrapper(network=None, seeds=[1], **case)
    assert (moved.extras["displacement"] != 0).any() and not torch.equal(moved.image, case["inputs"])
    outside = case["brain"] == 0
    assert torch.equal(moved.image[outside], case["inputs"][outside])


def test_what_the_network_sees():
    """The scan within the brain, -1 outside, and the condition where a network of all conditions has it."""
    case = smooth_case()
    told = fused_channels(case["pathology"], "box")
    seen = effects_channels(case["inputs"], case["brain"], told)
    assert seen.shape == (1, 7, 64, 64)
    inside = case["brain"] > 0
    assert torch.equal(seen[:, :1][inside], case["inputs"][inside]) and (seen[:, :1][~inside] == -1).all()
    assert torch.equal(seen[:, 1:2], case["brain"]) and torch.equal(seen[:, 3:4], case["pathology"])
    assert seen[:, 2:].sum() == case["pathology"].sum()
    with pytest.raises(InputError, match="--condition: got 'boxes'"):
        EffectsEditor(Seeing(), Mover(bump()), condition="boxes")


# --- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.1, 0.28, 0.6])
def test_drawn_strengths_have_mean_one_and_the_spread_that_is_said(spread):
    """log-normal: E s = 1, Var s = e^σ² - 1, s.d. of log s = σ."""
    drawn = np.array([drawn_factor(case_seed(0, "case", sample), spread) for sample in range(4000)])
    deviation = math.sqrt(math.exp(spread**2) - 1)
    assert abs(drawn.mean() - 1) < 4 * deviation / math.sqrt(4000)
    assert np.log(drawn).std() == pytest.approx(spread, rel=0.05)
    assert np.log(drawn).mean() == pytest.approx(-(spread**2) / 2, abs=4 * spread / math.sqrt(4000))
    assert drawn_factor(17, 0.0) == 1.0


def test_no_draw_is_beyond_what_people_differ_by():
    drawn = np.log([drawn_factor(case_seed(0, "case", sample), 0.62) for sample in range(4000)])
    ends = (-FARTHEST * 0.62 - 0.62**2 / 2, FARTHEST * 0.62 - 0.62**2 / 2)
    assert (drawn.min(), drawn.max()) == pytest.approx(ends) and math.exp(drawn.max()) < 4  # as far as --effects goes
    assert 0.005 < np.isclose(drawn, ends[0]).mean() + np.isclose(drawn, ends[1]).mean() < 0.02


def test_a_draw_is_not_the_first_number_of_the_noise():
    """What is painted must not depend on how far tissue moved."""
    seeds = [case_seed(0, "case", sample) for sample in range(2000)]
    strengths = [math.log(drawn_factor(seed, 1.0)) for seed in seeds]
    noise = [float(torch.randn(1, generator=torch.Generator().manual_seed(seed))) for seed in seeds]
    assert abs(np.corrcoef(strengths, noise)[0, 1]) < 4 / math.sqrt(2000)


def test_strengths_are_the_cases_own_in_any_batch():
    case, seeds = smooth_case(cases=3), [case_seed(0, name) for name in "abc"]
    settings = {"draws": True, "strength": 2.0}
    together = run(bump(), case=case, call={"seeds": seeds}, **settings).extras
    turned = run(bump(), case=case, call={"seeds": seeds[::-1]}, **settings).extras
    assert (
        together["strength"]
        == turned["strength"][::-1]
        == [2 * drawn_factor(seed, together["spread"][0]) for seed in seeds]
    )
    assert len(set(together["strength"])) == 3
    assert torch.equal(together["displacement"], turned["displacement"].flip(0))
    for k, seed in enumerate(seeds):
        alone = run(bump(), case={key: one[k : k + 1] for key, one in case.items()}, call={"seeds": [seed]}, **settings)
        assert torch.equal(alone.extras["displacement"][0], together["displacement"][k])
    assert run(bump(), case=case, call={"seeds": seeds}).extras["strength"] == [1.0] * 3  # a single edit draws nothing


def test_slices_of_a_case_move_alike():
    """One strength, by the geometric mean of what its slices with lesion say."""
    case, seeds = smooth_case(cases=4), [5, 5, 5, 6]
    case["inputs"] = case["inputs"] + torch.arange(4).view(4, 1, 1, 1) / 100
    edit = run(bump(), case=case, spread=[0.1, 0.4, 0.0, 0.3], call={"seeds": seeds}, draws=True)
    assert edit.extras["spread"] == pytest.approx([0.2, 0.2, 0.2, 0.3])
    found = edit.extras["strength"]
    assert found == pytest.approx([drawn_factor(5, 0.2)] * 3 + [drawn_factor(6, 0.3)]) and found[0] == found[2]


def test_the_network_is_asked_once_a_case():
    """Samples and steps of a course are the same scan."""
    case = {key: one.expand(4, 1, 64, 64) for key, one in smooth_case().items()}
    case["inputs"] = torch.stack([one + 0.1 * (k > 1) for k, one in enumerate(case["inputs"])])
    mover = Mover(bump())
    wrapper = EffectsEditor(Seeing(), mover)
    edit = wrapper(network=None, seeds=[1, 1, 2, 2], shares=[0.0, 1.0, 0.0, 1.0], **case)
    assert mover.asked == [2] and edit.extras["velocity"].shape == (4, 2, 64, 64)
    wrapper.exact = True
    wrapper(network=None, seeds=[1, 1, 2, 2], **case)
    assert mover.asked == [2, 1, 1]


def test_a_course_goes_from_nothing_to_all_of_it():
    case = {key: one.expand(3, 1, 64, 64) for key, one in smooth_case().items()}
    course = run(bump(), Seeing(0.1), case=case, strength=1.5, call={"seeds": [4, 4, 4], "shares": [0, 0.5, 1]})
    whole = run(bump(), Seeing(0.1), strength=1.5, call={"seeds": [4]})
    assert course.extras["strength"] == [0, 0.75, 1.5]
    assert torch.equal(course.image[2:], whole.image) and torch.equal(course.region[2:], whole.region)
    assert not course.extras["displacement"][0].any()
    half = run(bump(), strength=0.75, call={"seeds": [4]}).extras["displacement"]
    assert torch.equal(course.extras["displacement"][1:2], half)


# --- built from options ----------------------------------------------------------------------------------------------


def options(**given) -> EditOptions:
    return EditOptions.of(given).resolved(DISEASES["stroke"])


@pytest.mark.parametrize("method", ["mededit", "naive_repaint", "sdedit", "palette", "palette_original"])
def test_methods_of_the_thesis_are_untouched_unless_asked(method):
    """The editor itself, not one around it that would do nothing."""
    plain = editor_of(options(method=method), scheduler())
    assert type(plain) is type(build_editor(method, scheduler(), "mask"))
    wrapped = editor_of(
        options(method=method, effects=-0.5, global_atrophy=0.3, samples=2, exact=True), scheduler(), Mover(bump())
    )
    assert isinstance(wrapped, EffectsEditor) and type(wrapped.editor) is type(plain)
    found = (wrapped.strength, wrapped.global_atrophy, wrapped.draws, wrapped.exact, wrapped.condition)
    assert found == (-0.5, 0.3, True, True, "mask")


def test_morph_moves_unless_told_not_to():
    assert isinstance(editor_of(options(method="morph"), scheduler("v_prediction"), Mover(bump())), EffectsEditor)
    still = editor_of(options(method="morph", effects=0), scheduler("v_prediction"))
    assert type(still).__name__ == "PaintEditor"


@pytest.mark.parametrize("dims", [2, 3])
def test_weights_of_what_moves(dims, tmp_path):
    moving = options(effects=1, spatial_dims=dims)
    name = {2: "effects.pt", 3: "effects_3d.pt"}[dims]
    with pytest.raises(
        InputError, match=f"{name}: not found, but --effects 1 needs .* --effects_weights, or --effects 0"
    ):
        effects_weights_of(moving, tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).touch()
    assert effects_weights_of(moving, tmp_path) == tmp_path / "models" / name
    assert str(effects_weights_of(options(effects=1, effects_weights="mine.pt"), tmp_path)) == "mine.pt"
    assert effects_weights_of(options(effects=0), tmp_path) is None
    network = effects_network(dims, 1.5, channels=(16, 32), attention_levels=(False, False))
    assert (network.spatial_dims, network.in_channels, network.pixel_mm, network.patch) == (dims, 7, 1.5, 4)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"effects": 4.5}, "--effects: got 4.5, wanted a number between -4 and 4."),
        ({"global_atrophy": 2.1, "effects": 1}, "--global_atrophy: got 2.1, wanted a number between 0 and 2."),
        ({"course": 1, "effects": 1}, "--course: got 1, wanted at least 2 edits from no displacement"),
        ({"course": 101, "effects": 1}, "--course: got 101, wanted at most 100."),
        ({"course": 3, "effects": 1, "samples": 2}, "--course: got 3 with --samples 2, but a course is of one sample"),
        (
            {"global_atrophy": 0.5, "effects": 0},
            "--global_atrophy: got 0.5, but it applies to --effects other than 0; leave it out",
        ),
        ({"course": 3, "effects": 0}, "--course: got 3, but it applies to --effects other than 0"),
        (
            {"effects_weights": "e.pt", "effects": 0},
            "--effects_weights: got 'e.pt', but it applies to --effects other than 0",
        ),
        ({"carry": ("a.nii",), "effects": 0}, r"--carry: got \('a.nii',\), but it applies to --effects other than 0"),
        ({"effects": 1, "lesion_label": 9}, "--lesion_label: got 9, but it applies to --carry"),
        ({"effects": 1, "carry": "a.nii"}, "--carry: got 'a.nii', wanted one or several files; give their paths."),
        ({"effects": 1, "carry": [3]}, r"--carry: got \[3\], wanted one or several files"),
        (
            {"effects": 1, "carry": ["a"], "lesion_label": 0},
            "--lesion_label: got 0, wanted a whole number of at least 1",
        ),
    ],
)
def test_what_has_no_use_is_refused(given, sentence):
    with pytest.raises(InputError, match=f"^{sentence}"):
        options(**given).refuse_useless(given)


def test_what_has_a_use_is_taken():
    for given in (
        {"method": "morph", "course": 2, "carry": ["a.nii"], "lesion_label": 65535, "global_atrophy": 2},
        {"effects": -4, "datalist": "cases.json", "lesion_label": 1},
        {"effects": 0.5, "samples": 3, "effects_weights": "e.pt"},
    ):
        options(**given).refuse_useless(given)
