"""The look can be read: colours stand out from light and dark grounds, and from one another for all eyes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import plotly.graph_objects as go
import pytest

from vtune import plots
from vtune.errors import ArgumentError
from vtune.plots import look

WHITE, DARK = "#ffffff", "#1e1e1e"
# Severity 1 of G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, "A Physiologically-based Model for Simulation of
# Color Vision Deficiency", 2009.
VISION = {
    "usual": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(color):
    """Linear light of a colour, [3]."""
    value = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The contrast ratio of WCAG 2."""
    lights = sorted((float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other)), reverse=True)
    return (lights[0] + 0.05) / (lights[1] + 0.05)


def lab(light):
    """The Oklab coordinates of linear light (Ottosson, 2020)."""
    cones = [[0.41222, 0.53633, 0.05145], [0.2119, 0.6807, 0.1074], [0.0883, 0.28172, 0.62998]]
    axes = [[0.21045, 0.79362, -0.00407], [1.978, -2.42859, 0.45059], [0.0259, 0.78277, -0.80868]]
    return np.array(axes) @ np.cbrt(np.array(cones) @ np.clip(light, 0, 1))


@pytest.mark.parametrize("ground", [WHITE, DARK])
@pytest.mark.parametrize("color", [*look.COLORS, look.GREY, *look.RAMP])
def test_marks_stand_out_from_light_and_dark_grounds(color, ground):
    assert contrast(color, ground) >= 2.9


def test_text_can_be_read():
    assert contrast(look.INKS["light"], WHITE) >= 7
    assert contrast(look.INKS["dark"], DARK) >= 7
    assert min(contrast(look.INKS["both"], WHITE), contrast(look.INKS["both"], DARK)) >= 3.8


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart_by_all_kinds_of_colour_vision(vision):
    seen = {color: lab(np.array(VISION[vision]) @ linear(color)) for color in look.COLORS}
    nearest = min((np.linalg.norm(seen[a] - seen[b]), a, b) for a, b in combinations(seen, 2))
    assert nearest[0] > 0.1, nearest


@pytest.mark.parametrize("vision", VISION)
def test_the_ramp_goes_one_way(vision):
    """Its steps lie on a line from the best to the worst: the farther apart in order, the farther apart in colour."""
    seen = [lab(np.array(VISION[vision]) @ linear(color)) for color in look.RAMP]
    from_best = [np.linalg.norm(color - seen[0]) for color in seen]
    assert (np.diff(from_best) > -0.005).all()


def test_a_long_note_has_lines_and_room_for_them():
    short, long = (look.styled(go.Figure(), 300) for _ in range(2))
    look.note(short, "a note", "", "another")
    look.note(long, "word " * 30, width=50)
    assert short.layout.annotations[0].text == "a note · another"
    assert max(map(len, long.layout.annotations[0].text.split("<br>"))) <= 50
    under = [figure.to_dict()["layout"].get("margin", {}).get("b") for figure in (short, long)]
    assert under == [None, 66 + 2 * 16]


def test_themes_change_the_ink_of_everything_and_nothing_else():
    figure = go.Figure(go.Parcoords(dimensions=[{"label": "a", "values": [1, 2]}]))
    look.note(look.styled(figure, 300), "a note")
    for theme in ("light", "dark", "both"):
        plots.themed(figure, theme)
        assert figure.layout.template.layout.font.color == look.INKS[theme]
        assert figure.data[0].labelfont.color == look.INKS[theme]
        assert figure.layout.annotations[0].font.color is None
        assert figure.layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"
    with pytest.raises(ArgumentError, match="light, dark"):
        plots.themed(figure, "sepia")


def test_points_at_one_place_are_strewn_alike_every_time_and_stay_near():
    offsets = look.strewn(500, 0.3)
    assert np.abs(offsets).max() <= 0.3
    assert np.array_equal(offsets, look.strewn(500, 0.3))
    assert abs(offsets.mean()) < 0.02
