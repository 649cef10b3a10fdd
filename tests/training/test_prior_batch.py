# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the prior-conditioned network is trained on, by hand."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from gaussian import ALPHA_BAR, scheduler
from monai.inferers import DiffusionInferer

from mededit_monai.core.errors import InputError
from mededit_monai.methods.change import CHANGE_SCALE, changed_region, gated_change
from mededit_monai.methods.change_editor import ChangeEditor
from mededit_monai.methods.record import network_named
from mededit_monai.training.change_loss import ChangeLoss
from mededit_monai.training.losses import Target
from mededit_monai.training.prior_batch import PriorPrepareBatch


def plane(*rows: list[float]) -> torch.Tensor:
    return torch.tensor([[list(row) for row in rows]])[None]


def batch() -> dict[str, torch.Tensor]:
    """A 2x2 pair: darker by 0.5 in the lesion, brighter by 0.25 beside it, and the other two as they were."""
    return {
        "image": plane([0.25, 0.75], [1.0, 0.0]),
        "prior": plane([0.75, 0.5], [1.0, 0.0]),
        "brain": plane([1.0, 1.0], [1.0, 0.0]),
        "prior_brain": plane([1.0, 1.0], [1.0, 0.0]),
        "pathology": plane([1.0, 0.0], [0.0, 0.0]),
        "seed": torch.tensor([3]),
    }


# --- targets ---------------------------------------------------------------------------------------------------------


def test_targets_by_hand():
    prepare = PriorPrepareBatch(scheduler("sample"), lesion_weight=2.0, zone_weight=0.5)
    change, target, rest, keywords = prepare(batch())
    assert rest == () and keywords["mode"] == "concat" and torch.equal(keywords["timesteps"], prepare.timesteps)
    # twice the change in [0, 1], over s
    assert torch.equal(change, plane([-1.0, 0.5], [0.0, 0.0]) / CHANGE_SCALE)
    assert torch.equal(target["value"], change)
    assert torch.equal(target["region"], torch.ones(1, 1, 2, 2))  # closing with a square of side 3 fills a 2x2 image
    # lesion of one pixel, zone, zone, no brain
    assert target["weight"].ravel().tolist() == pytest.approx([371**0.5 + 2.0, 1.5, 1.5, 1.0])
    condition = keywords["condition"]
    assert torch.equal(condition[:, 0], batch()["brain"][:, 0]) and torch.equal(
        condition[:, 6:], 2 * batch()["prior"] - 1
    )
    shown = {"mask": 1, "box": 2}[prepare.conditions[0]]
    assert torch.equal(condition[:, shown], batch()["pathology"][:, 0]) and condition[:, 1:6].sum() == 1


def test_the_region_of_change_is_closed():
    prior = torch.zeros(1, 1, 9, 9)
    image = prior.clone()
    image[..., 2:7, 2:7] = 0.5
    image[..., 4, 4] = 0.0  # the change passes through zero
    image[..., 0, 8] = 0.03  # 0.015 in [0, 1]: below the threshold
    wanted = torch.zeros(9, 9, dtype=torch.bool)
    wanted[2:7, 2:7] = True
    assert torch.equal(changed_region(image, prior)[0, 0], wanted)


def test_small_lesions_weigh_more():
    """A lesion of a quarter of 371 pixels counts twice a pixel, one of more than 371 as its surroundings do."""
    weights = []
    for rows in (371 // 4, 400):
        lesion = torch.zeros(1, 1, 400, 1)
        lesion[:, :, :rows] = 1
        ones = torch.ones_like(lesion)
        case = {"image": ones, "prior": ones, "brain": ones, "pathology": lesion, "seed": torch.tensor([0])}
        weights.append(PriorPrepareBatch(scheduler("sample"), even=True)(case)[1]["weight"][0, 0, :, 0])
    assert weights[0][:92].tolist() == pytest.approx([2.0] * 92, rel=0.01) and (weights[0][92:] == 1).all()
    assert (weights[1] == 1).all()


def test_without_a_lesion_there_is_no_change():
    case = batch()
    case |= {"image": case["prior"], "pathology": torch.zeros_like(case["pathology"])}
    change, target, _, keywords = PriorPrepareBatch(scheduler("sample"))(case)
    assert not change.any() and not target["value"].any() and not target["region"].any()
    assert not keywords["condition"][:, 1:6].any()


def test_training_shows_the_network_what_editing_does():
    """Channel by channel: MONAI's inferer on the prepared batch, and ours on the same case."""
    seen = []

    def network(x, timesteps, context=None):
        seen.append(x)
        return torch.zeros(len(x), 2, *x.shape[2:])

    prepare, case = PriorPrepareBatch(scheduler("sample"), top_share=1.0), batch()
    change, _, _, keywords = prepare(case)
    assert prepare.timesteps.tolist() == [999]
    DiffusionInferer(scheduler("sample"))(inputs=change, diffusion_model=network, **keywords)
    editor = ChangeEditor(scheduler("sample"), steps=1, condition=prepare.conditions[0])
    editor(2 * case["prior"] - 1, network, case["prior_brain"], case["pathology"], seeds=[3])
    trained, edited = seen
    a = ALPHA_BAR[999]
    assert torch.equal(trained[:, 1:], edited[:, 1:])
    assert torch.allclose(trained[:, :1], a**0.5 * change + (1 - a) ** 0.5 * edited[:, :1], atol=1e-6)


# --- levels and conditions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regions", [False, True])
def test_conditions_are_drawn_by_the_seed(regions):
    count = 600
    case = {key: value.expand(count, *value.shape[1:]) for key, value in batch().items()} | {
        "seed": torch.arange(count)
    }
    if regions:
        case["regions"] = 2 * case["pathology"]  # edema
    prepare = PriorPrepareBatch(scheduler("sample"))
    _, _, _, keywords = prepare(case)
    shares = {"mask": 3 / 6, "box": 1 / 6, "regions": 2 / 6} if regions else {"mask": 3 / 4, "box": 1 / 4}
    for name, share in shares.items():
        assert prepare.conditions.count(name) / count == pytest.approx(share, abs=0.08)
    channel = {"mask": 1, "box": 2, "regions": 4}
    for k, name in enumerate(prepare.conditions):
        assert keywords["condition"][k, 1:6].amax(dim=(1, 2)).nonzero().ravel().tolist() == [channel[name] - 1]
    levels = prepare.timesteps.clone()
    again = PriorPrepareBatch(scheduler("sample"))
    turned = {key: value.flip(0) for key, value in case.items()}
    again(turned)
    assert again.conditions == prepare.conditions[::-1] and torch.equal(again.timesteps, levels.flip(0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prediction_type": "epsilon"}, "--prediction_type: got 'epsilon'.*wanted 'sample'"),
        ({"min_snr_gamma": 5.0}, "--min_snr_gamma: got 5.0"),
    ],
)
def test_what_it_refuses(change, words):
    kind = change.pop("prediction_type", "sample")
    with pytest.raises(InputError, match=words):
        network_named("prior").batch(scheduler(kind), **change)
    alone = {key: value for key, value in batch().items() if key != "prior"} | {"case_id": ["sub-1"]}
    with pytest.raises(InputError, match="case 'sub-1' has no 'prior'"):
        PriorPrepareBatch(scheduler("sample"))(alone)


# --- loss ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "distance"), [("mse", lambda d: d * d), ("l1", abs)])
def test_the_loss_by_hand(kind, distance):
    c, logit = [2.0, -1.0, 0.0, 4.0], [0.0, log(3.0), -log(3.0), -log(3.0)]  # σ: ½, ¾, ¼, ¼
    wanted, region, weight = [1.0, -1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [3.0, 1.0, 1.0, 2.0]
    estimate = [1.0, -0.75, 0.0, 1.0]
    assert gated_change(stack(c, logit)).ravel().tolist() == pytest.approx(estimate)
    entropy = [log(2.0), log(4 / 3), log(4 / 3), log(4 / 3)]
    terms = [w * (distance(e - y) + 0.2 * h) for w, e, y, h in zip(weight, estimate, wanted, entropy)]
    loss = ChangeLoss(kind, gate_weight=0.2)(
        stack(c, logit), Target(value=stack(wanted), region=stack(region), weight=stack(weight))
    )
    assert float(loss) == pytest.approx(sum(terms) / 4, rel=1e-6)


def stack(*channels: list[float]) -> torch.Tensor:
    return torch.tensor(channels).reshape(1, len(channels), 2, 2)


def test_the_best_gate_and_change_are_their_probabilities():
    """A pixel that changes by 2 in 3 of 4 cases: least squares and entropy agree on σ(l) = ¾ and c = 2."""
    raw = torch.zeros(1, 2, 1, 1, requires_grad=True)
    changes = torch.tensor([2.0, 2.0, 2.0, 0.0]).reshape(4, 1, 1, 1)
    target = Target(value=changes, region=(changes > 0).float(), weight=torch.ones_like(changes))
    loss, optimizer = ChangeLoss("mse", 1.0), torch.optim.LBFGS([raw], max_iter=100)

    def closure():
        optimizer.zero_grad()
        value = loss(raw.expand(4, -1, -1, -1), target)
        value.backward()
        return value

    optimizer.step(closure)
    c, logit = raw.detach().ravel().tolist()
    assert 1 / (1 + exp(-logit)) == pytest.approx(0.75, abs=1e-3) and c == pytest.approx(2.0, abs=1e-3)


def test_losses_by_family():
    assert isinstance(network_named("prior").loss("l1", gate_weight=0.3), ChangeLoss)
    with pytest.raises(ValueError, match="loss must be one of mse"):
        network_named("prior").loss("mae")
