# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The picture is read back panel by panel: what it shows, which way up, and what it says."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mededit_monai.reports.preview import Plane, lesion_planes, save_preview, upright


@pytest.fixture()
def figures(monkeypatch) -> list[Figure]:
    """Figures in the order in which they were saved."""
    saved, save = [], Figure.savefig

    def kept(figure, *arguments, **keywords):
        saved.append(figure)
        return save(figure, *arguments, **keywords)

    monkeypatch.setattr(Figure, "savefig", kept)
    return saved


def head() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A head of 40 by 60 pixels with an edit in its right front: prior, edit, lesion, region."""
    prior = np.zeros((128, 128), np.float32)
    prior[30:70, 30:90] = np.random.default_rng(0).uniform(0.3, 1, (40, 60))
    lesion, region = np.zeros((2, 128, 128), bool)
    lesion[60:65, 80:86] = True
    region[55:70, 75:90] = True
    edit = np.where(region, prior * 0.25, prior)
    return prior, edit, lesion, region


#: What a preview of :func:`head` shows: the head and 4 pixels around it, first pixel and size.
LOW, SIZE = (26, 26), (48, 68)


def panels(figure: Figure) -> list[AxesImage]:
    """Row by row, without the colour bars; their extents are in inches."""
    return [image for image in figure.axes[0].images if image.get_array().shape != (256, 1)]


def bars(figure: Figure) -> list[AxesImage]:
    return [image for image in figure.axes[0].images if image.get_array().shape == (256, 1)]


def shown(figure: Figure) -> list[np.ndarray]:
    return [panel.get_array() for panel in panels(figure)[:4]]


def height_of(image: AxesImage) -> float:
    low, high = image.get_extent()[2:]
    return high - low


def outlines(figure: Figure) -> list[ContourSet]:
    return [one for one in figure.axes[0].collections if isinstance(one, ContourSet)]


def name_of(panel: AxesImage) -> str:
    """The text right above a panel, in its middle."""
    left, right, _, top = panel.get_extent()
    near = [
        text.get_text()
        for text in panel.axes.texts
        if abs(text.get_position()[0] - (left + right) / 2) < 1e-6 and 0 < text.get_position()[1] - top < 0.1
    ]
    return near[0] if near else ""


def numbers_of(bar: AxesImage) -> dict[float, float]:
    """What is written right beside a colour bar, and how far up it, from 0 to 1."""
    _, right, low, high = bar.get_extent()
    beside = [text for text in bar.axes.texts if 0 < text.get_position()[0] - right < 0.12]
    places = [(text.get_text(), (text.get_position()[1] - low) / (high - low)) for text in beside]
    return {float(said.replace("−", "-")): place for said, place in places if -0.01 < place < 1.01}


def words(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.axes[0].texts)


def test_upright_is_radiological():
    """x to the patient's right, y to the front: front on top, right on the viewer's left."""
    plane = np.zeros((3, 4))
    plane[2, 3] = 1  # right, front
    plane[0, 0] = 2  # left, back
    assert upright(plane).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 2]]


def test_panels(figures, tmp_path):
    prior, edit, lesion, region = head()
    save_preview([Plane(prior, edit, lesion, region)], tmp_path / "preview.png", "case 7")
    part = slice(LOW[0], LOW[0] + SIZE[0]), slice(LOW[1], LOW[1] + SIZE[1])
    first, second, third, difference = shown(figures[0])
    assert np.array_equal(first, upright(prior[part])) and np.array_equal(second, first)
    assert np.array_equal(third, upright(edit[part]))
    assert np.array_equal(difference[upright(prior[part]) > 0], upright(edit - prior)[upright(prior) > 0])
    assert difference.mask[upright(prior[part]) == 0].all()  # the background is neither brighter nor darker


def test_zeros_in_the_head_are_head_and_noise_in_the_air_is_air(figures, tmp_path):
    prior, edit, lesion, region = head()
    prior[40, 50] = edit[40, 50] = 0  # within the head
    prior[72, 92] = edit[72, 92] = 0.01  # noise
    edit[71, 30] = 0.3  # a change is shown wherever it is
    save_preview([Plane(prior, edit, lesion, region)], tmp_path / "preview.png")
    hidden = np.zeros((128, 128), bool)
    hidden[LOW[0] : LOW[0] + SIZE[0], LOW[1] : LOW[1] + SIZE[1]] = np.flip(shown(figures[0])[3].mask, (0, 1)).T
    assert not hidden[40, 50] and not hidden[71, 30] and not hidden[30:70, 30:90].any()
    assert hidden[72, 92] and hidden[28, 50] and hidden[71, 31]


def test_pixels_are_square(figures, tmp_path):
    save_preview([Plane(*head())], tmp_path / "preview.png")
    (axes,) = figures[0].axes
    place, size = axes.get_position(), figures[0].get_size_inches()
    assert place.bounds == (0, 0, 1, 1) and (axes.get_xlim(), axes.get_ylim()) == ((0, size[0]), (0, size[1]))
    for left, right, low, high in (panel.get_extent() for panel in panels(figures[0])):
        assert (right - left) / (high - low) == pytest.approx(SIZE[0] / SIZE[1])


def test_scales_are_fixed(figures, tmp_path):
    """Two previews can be compared: grey from 0 to 1, differences symmetric with red for brighter."""
    save_preview([Plane(*head())], tmp_path / "preview.png")
    images = panels(figures[0])
    assert [image.get_clim() for image in images] == [(0, 1)] * 3 + [(-0.6, 0.6)]
    brighter, darker, same = (images[3].to_rgba(np.array([value]))[0] for value in (0.5, -0.5, 0.0))
    assert brighter[0] > 2 * brighter[2] and darker[2] > 2 * darker[0] and same[:3].min() > 0.9
    assert (tmp_path / "preview.png").stat().st_size > 10_000


def test_bars_say_what_the_colours_mean(figures, tmp_path):
    """The same colours and limits as the panel beside; every number at its colour, as many as fit."""
    moved = [*head(), np.full((128, 128), np.float32(3.5))]
    save_preview([Plane(*moved), Plane(*(array[:, 50:52] for array in moved))], tmp_path / "preview.png")
    for bar, panel in zip(bars(figures[0])[:2], panels(figures[0])[3:5]):
        assert bar.get_cmap() == panel.get_cmap() and bar.get_clim() == panel.get_clim()
        least, greatest = bar.get_clim()
        values = bar.get_array()[:, 0]
        assert (values[0], values[-1]) == (greatest, least) and (np.diff(values) < 0).all()  # the first row is on top
        for value, place in numbers_of(bar).items():
            assert place == pytest.approx((value - least) / (greatest - least))
    assert list(numbers_of(bars(figures[0])[0])) == pytest.approx([-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6])
    assert list(numbers_of(bars(figures[0])[1])) == pytest.approx(np.arange(0, 3.6, 0.5))
    assert "−0.6 | −0.4 | −0.2 | 0.0 | 0.2" in words(figures[0])
    assert len(numbers_of(bars(figures[0])[2])) <= 3  # of a row a few millimetres high


def test_outlines_lie_around_the_masks(figures, tmp_path):
    prior, edit, lesion, region = head()
    save_preview([Plane(prior, edit, lesion, region)], tmp_path / "preview.png")
    drawn = outlines(figures[0])
    assert len(drawn) == 2
    left, right, low, high = panels(figures[0])[1].get_extent()
    for outline, (x, y), red in zip(drawn, (((60, 64), (80, 85)), ((55, 69), (75, 89))), (True, False)):
        points = np.concatenate([path.vertices for path in outline.get_paths()])
        points = (points - (left, high)) / (right - left, low - high) * SIZE - 0.5  # in pixels of the second panel
        # both axes run backwards from the last pixel shown; the outline passes half a pixel around the mask
        columns = [SIZE[0] - 1 - (x[1] - LOW[0]) - 0.5, SIZE[0] - 1 - (x[0] - LOW[0]) + 0.5]
        rows = [SIZE[1] - 1 - (y[1] - LOW[1]) - 0.5, SIZE[1] - 1 - (y[0] - LOW[1]) + 0.5]
        assert [points[:, 0].min(), points[:, 0].max()] == pytest.approx(columns)
        assert [points[:, 1].min(), points[:, 1].max()] == pytest.approx(rows)
        colour = outline.get_edgecolor()[0]
        assert (colour[0] > colour[2]) == red


def test_what_it_says(figures, tmp_path):
    save_preview([Plane(*head())], tmp_path / "preview.png", "case 7  slice 93")
    said = words(figures[0])
    for part in ("case 7  slice 93", "Synthetic image", "Research use only, not a medical device"):
        assert part in said
    assert [name_of(panel) for panel in panels(figures[0])] == [
        *("prior scan", "lesion (red), region (blue)", "counterfactual (synthetic)", "edit − prior")
    ]


def test_how_far_tissue_moved(figures, tmp_path):
    """A fifth panel on a scale in mm of its own; the other four are where they were."""
    prior, edit, lesion, region = head()
    length = np.where(region, np.float32(3.5), 0)
    save_preview([Plane(prior, edit, lesion, region, length)], tmp_path / "moved.png")
    part = slice(LOW[0], LOW[0] + SIZE[0]), slice(LOW[1], LOW[1] + SIZE[1])
    panel = panels(figures[0])[4]
    assert np.array_equal(panel.get_array(), upright(length[part]))
    assert panel.get_clim() == (0, 3.5) and name_of(panel) == "displacement, mm"
    save_preview([Plane(prior, edit, lesion, region, length * 0)], tmp_path / "still.png")
    assert panels(figures[1])[4].get_clim() == (0, 1)
    places = [image.get_extent()[:2] for image in panels(figures[0])]
    first, second = (bar.get_extent()[:2] for bar in bars(figures[0]))
    assert all(a[1] <= b[0] + 1e-6 for a, b in zip(places[:4], places[1:5]))
    assert places[3][1] < first[0] and first[1] < places[4][0] and places[4][1] < second[0]  # each behind its panel
    assert second[1] < figures[0].get_size_inches()[0]


@pytest.mark.parametrize("fill", [False, True])
def test_masks_without_an_outline(figures, tmp_path, fill):
    prior, edit, lesion, _ = head()
    save_preview([Plane(prior, edit, lesion, np.full((128, 128), fill))], tmp_path / "preview.png")
    assert len(outlines(figures[0])) == 1


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_planes_of_a_slab(figures, tmp_path, count):
    """As low as they are, with all of their bars' scales; a line has no outline."""
    planes = [Plane(*(plane[:, 50 : 50 + count] for plane in head())), Plane(*head())]
    save_preview(planes, tmp_path / "preview.png")
    low, high = (height_of(panels(figures[0])[k]) for k in (0, 4))
    assert 0 < low < high / 10 and len(panels(figures[0])) == 8 and len(bars(figures[0])) == 2
    assert 0 < height_of(bars(figures[0])[0]) < low and numbers_of(bars(figures[0])[0])


def test_a_head_at_the_border_and_an_empty_slice(figures, tmp_path):
    prior, edit, lesion, region = (np.roll(plane, (-30, -30), (0, 1)) for plane in head())
    save_preview([Plane(prior, edit, lesion, region)], tmp_path / "border.png")
    # what lies beyond the border cannot be shown, what lies within it is complete
    assert shown(figures[0])[0].sum() == pytest.approx(prior.sum(), rel=1e-5)
    blank = np.zeros((128, 128))
    save_preview([Plane(blank, blank, blank > 0, blank > 0)], tmp_path / "blank.png")
    assert shown(figures[1])[0].shape == (128, 128) and matplotlib.image.imread(tmp_path / "blank.png").ndim == 3


def test_planes_stand_one_above_the_other_in_millimetres(figures, tmp_path):
    """Thick slices: 40 x 60 pixels of 1 x 1 mm, and 40 x 20 of 1 x 2 mm."""
    prior, edit, lesion, region = (array[30:70, 30:90] for array in head())
    thick = [array[:, :20] for array in (np.ones_like(prior), edit, lesion, region)]
    save_preview([Plane(prior, edit, lesion, region), Plane(*thick, sides=(1.0, 2.0))], tmp_path / "preview.png", "a")
    (figure,) = figures
    places = [panel.get_extent() for panel in panels(figure)]
    ratios = [(right - left) / (high - low) for left, right, low, high in places]
    assert ratios == pytest.approx([40 / 60] * 4 + [40 / (20 * 2)] * 4)
    assert min(low for _, _, low, _ in places[:4]) > max(high for *_, high in places[4:])
    assert [bool(name_of(panel)) for panel in panels(figure)] == [True] * 4 + [False] * 4  # named once, above


def test_planes_are_those_with_most_lesion():
    lesion = np.zeros((6, 7, 8), bool)
    lesion[2, 1:5, 3:6] = True
    lesion[1:5, 4, 4] = True
    assert lesion_planes(lesion) == (2, 4, 4)
