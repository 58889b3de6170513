"""Every figure of a study: what it shows, that it is bounded and escaped, and what it says when there is nothing."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from stored import SPACE, store_study

from vtune import plots
from vtune.errors import ArgumentError
from vtune.plots import Plots
from vtune.space import Choice, Float, Space
from vtune.store import Commit, NewTrial, open_writer
from vtune.store.records import Measurements, TrialUpdates

MARKUP = "<b>x</b> $y$ %{z}"
FIGURES = (
    "history", "curves", "generalization", "importance", "interactions", "slices", "contour", "rank", "parallel",
    "edf", "compare", "time_to_target", "front", "hypervolume", "timeline", "occupancy", "costs", "predictions", "gain",
    "origins", "room",
)  # fmt: skip
SINGLE = tuple(name for name in FIGURES if name not in ("front", "hypervolume"))


@pytest.fixture(scope="module")
def writer():
    with open_writer(None) as writer:
        yield writer


@pytest.fixture(scope="module")
def study(writer):
    return Plots(writer.reader(), store_study(writer, "bowl", 200).id)


@pytest.fixture(scope="module")
def other(writer):
    return Plots(writer.reader(), store_study(writer, "other", 150, seed=1).id)


@pytest.fixture(scope="module")
def two(writer):
    two = store_study(writer, "two", 120, seed=2, objectives=(("loss", "min"), ("size", "max")))
    return Plots(writer.reader(), two.id)


@pytest.fixture(scope="module")
def odd(writer):
    """A study whose names are markup, of one hyperparameter, and of which only a few trials ended."""
    space = Space(kind=Choice(MARKUP, None))
    fields = {"space": space.to_json(), "objectives": ((MARKUP, "max"),), "metrics": (MARKUP,), "report": {}}
    study = store_study(writer, MARKUP, 0, **fields)
    states = ["complete", "complete", "failed", "waiting"]
    writer.commit(
        study.id,
        Commit(
            new_trials=[NewTrial(i, {"kind": MARKUP if i else None}, MARKUP) for i in range(4)],
            trial_updates=TrialUpdates(
                id=range(4), state=states, step=[1, 1, 0, 0], score=[0.5, 0.7, np.nan, np.nan],
                started=[1.0, 1.0, np.nan, np.nan], finished=[2.0, 3.0, np.nan, np.nan],
            ),
            measurements=Measurements([0, 1], [1, 1], [[0.5], [0.7]]),
        ),
    )  # fmt: skip
    return Plots(writer.reader(), study.id)


def trace(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def notes(figure):
    return " ".join(annotation.text or "" for annotation in figure.layout.annotations)


def points(figure):
    sizes = [len(part.dimensions[0]["values"]) if part.type == "parcoords" else len(part.x) for part in figure.data]
    return sum(sizes)


def text_of(figure):
    return json.dumps(json.loads(figure.to_json()), ensure_ascii=False)


@pytest.mark.parametrize("name", FIGURES)
def test_a_study_without_trials_has_every_figure_and_each_says_why_it_is_empty(writer, name):
    empty = store_study(writer, f"empty {name}", 0, report={}).id
    figure = getattr(Plots(writer.reader(), empty), name)()
    assert isinstance(figure, go.Figure)
    assert notes(figure) or not points(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_and_bounded_and_of_one_look(study, two, name):
    figure = getattr(study if name in SINGLE else two, name)()
    assert 0 < points(figure) <= 9000
    assert figure.layout.template == plots.TEMPLATE
    assert figure.layout.uirevision
    assert len(figure.to_json()) < 1_500_000


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_trips_over_an_odd_study_or_shows_its_names_as_markup(odd, name):
    told = text_of(getattr(odd, name)())
    for bad in ("<b>x", "$y$", "%{z}"):
        if name == "parallel":  # its labels are drawn as plain text
            continue
        assert bad not in told


def test_what_is_available_can_be_shown(study, two, odd):
    assert set(SINGLE) == set(study.available())
    assert {"front", "hypervolume"} <= set(two.available())
    assert {"importance", "contour", "costs", "gain"}.isdisjoint(odd.available())


def test_dots_know_their_trials(study, two):
    for figure in (study.history(), study.slices(), study.rank(), study.contour(), study.generalization(), two.front()):
        dots = [part for part in figure.data if part.type in ("scatter", "scattergl") and part.mode == "markers"]
        assert dots
        for part in dots:
            assert [f"trial {row[0]}" for row in part.customdata] == [text.split("<br>")[0] for text in part.text]


def test_history_over_time_is_in_the_order_of_the_ends(study):
    line = trace(study.history(x="seconds"), "best so far")
    assert (np.diff(line.x) >= 0).all()
    assert (np.diff(line.y) <= 0).all()
    with pytest.raises(ArgumentError, match="'trial' or 'seconds'"):
        study.history(x="minutes")


def test_curves_draw_trials_that_were_asked_for(study):
    frame = study._reader.frame(study._id)
    worst = int(frame[frame["state"] == "complete"].nlargest(1, "score")["id"].iloc[0])
    plain, more = study.curves(top=3), study.curves(top=3, trials=[worst])
    assert len(more.data) == len(plain.data) + 2
    assert f"#{worst} " in more.data[-1].name
    assert "bands" in notes(more)


def test_one_trial_has_a_panel_a_metric(study):
    figure = study.curve(0)
    assert [part.name for part in figure.data] == ["loss", "train_loss", "size", "grad_norm"]
    assert len({part.yaxis for part in figure.data}) == 3
    assert "not been measured" in notes(study.curve(10**6))


def test_importance_puts_the_largest_bar_on_top(study):
    for method in ("ped-anova", "fanova"):
        bars = study.importance(method).data[0]
        assert bars.y[-1] == "lr"
        assert list(bars.x) == sorted(bars.x)
        assert (np.asarray(bars.error_x.array) >= 0).all()


def test_interactions_fill_one_triangle(study):
    shares = np.array(study.interactions().data[0].z, float)
    assert np.isnan(shares[np.triu_indices(len(SPACE), 1)]).all()
    assert np.isfinite(shares[np.tril_indices(len(SPACE))]).all()


def test_a_contour_is_best_where_the_trials_are(study):
    figure = study.contour("lr", "width")
    ground = np.array(figure.data[0].z)
    assert abs(ground.mean(axis=0).argmin() / ground.shape[1] - 0.5) < 0.15
    assert figure.layout.xaxis.ticktext[0] == "1e-4"
    with pytest.raises(ArgumentError, match="lr, width"):
        study.contour("lr", "lr")


def test_ranks_are_coloured_from_best_to_worst(study):
    figure = study.rank(["lr", "width"])
    part = figure.data[0]
    away = np.abs(np.log10(np.asarray(part.x, float)) + 2)
    assert np.corrcoef(away, part.marker.color)[0, 1] < -0.5
    with pytest.raises(ArgumentError, match="two to 5"):
        study.rank(["lr"])
    with pytest.raises(ArgumentError, match="hyperparameters"):
        study.rank(["lr", "loss"])


def test_parallel_coordinates_pass_inactive_hyperparameters_below_their_axis(study):
    dimensions = {part["label"]: part for part in study.parallel().data[0].dimensions}
    assert list(dimensions) == [*SPACE, "loss"]
    assert "inactive" in dimensions["momentum"]["ticktext"]
    assert (np.asarray(dimensions["momentum"]["values"]) == -0.15).any()
    assert (np.asarray(dimensions["lr"]["values"]) >= 0).all()


def test_studies_are_compared_on_one_axis_by_name(study, other):
    figure = study.compare(other, study)
    assert [part.name for part in figure.data] == ["bowl", "other", "bowl (2)"]
    assert len({part.line.dash for part in figure.data}) == 3
    assert figure.layout.xaxis.title.text == "complete trials"
    assert study.compare(x="seconds", log=True).layout.yaxis.type == "log"


def test_the_distribution_says_which_share_is_as_good(study):
    frame = study._reader.frame(study._id)
    scores = frame["score"][frame["state"] == "complete"]
    line = study.edf().data[0]
    middle = len(line.x) // 2
    assert line.y[middle] == pytest.approx((scores <= line.x[middle]).mean())
    upward = plots.edf({"a": pd.DataFrame({"score": [1.0, 2.0], "share": [0.5, 1.0]})}, "max").data[0]
    assert list(upward.y) == [1.0, 0.5]


def test_targets_are_reached_later_the_better_they_are(study, other):
    figure = study.time_to_target(other)
    for part in figure.data:
        assert (np.diff(part.x) >= 0).all()
    assert "missed" in notes(study.time_to_target(targets=[-1.0]))


def test_the_front_holds_what_no_trial_beats(two):
    figure = two.front()
    line = trace(figure, "no trial beats these")
    assert (np.diff(line.x) > 0).all()
    assert (np.diff(line.y) > 0).all()
    grown = two.hypervolume().data[0]
    assert grown.y[-1] == 1.0
    assert (np.diff(grown.y) >= 0).all()
    with pytest.raises(ArgumentError, match="two of 2 objectives"):
        two.front(0, 0)


def test_lanes_hold_their_trials_in_order(study):
    figure = study.timeline()
    rows = sorted(
        (y, base, base + x) for part in figure.data for y, base, x in zip(part.y, part.base, part.x, strict=True)
    )
    assert len({row[0] for row in rows}) == 8
    assert all(one[2] <= two[1] + 1e-3 for one, two in pairwise(rows) if one[0] == two[0])
    few = study.timeline(0.0, 4.0, color="program")
    assert 0 < sum(len(part.x) for part in few.data) < 40
    assert [part.name for part in few.data] == ["program 1"]
    with pytest.raises(ArgumentError, match="'state' or 'program'"):
        study.timeline(color="lane")


def test_costs_tell_compiling_from_running(study):
    parts = {part.name: part.x[0] for part in study.costs().data}
    assert (parts["trace"], parts["compile"]) == (0.5, 1.5)
    assert parts["run (trials x steps)"] == pytest.approx(10 * 50 * 4e-3 / 4)
    assert "25% of the work is padding" in notes(study.costs())


def test_predictions_are_in_the_units_of_the_score(study, writer):
    dots = study.predictions().data[1]
    np.testing.assert_allclose(dots.x, dots.y)
    turned = (
        Plots(writer.reader(), store_study(writer, "up", 60, objectives=(("loss", "max"),)).id).predictions().data[1]
    )
    np.testing.assert_allclose(turned.x, turned.y)


def test_room_goes_on_where_the_trials_end(study):
    figure = study.room(500)
    past, likely = trace(figure, "best so far"), trace(figure, "likely")
    assert likely.x[0] == past.x[-1]
    assert likely.x[-1] == past.x[-1] + 500
    assert "chance of anything better" in notes(figure)


def test_what_is_left_out_is_said(writer):
    many = Plots(writer.reader(), store_study(writer, "many", 3200).id)
    assert "showing" in notes(many.timeline())
    assert "showing" in notes(many.rank(["lr", "width"]))
    assert "of 3,200 trials" in notes(many.history(max_points=100))
    assert points(many.history(max_points=100)) < 400


def test_a_space_of_one_hyperparameter_has_no_pairs():
    frame = pd.DataFrame({"id": range(20), "state": "complete", "score": np.arange(20.0), "x": np.arange(20) / 20})
    with pytest.raises(ArgumentError, match="two to 5 of x"):
        plots.rank(frame, Space(x=Float(0, 1)), ["x"])
