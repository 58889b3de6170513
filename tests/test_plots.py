"""What the figures hold: the right points, no more than a few thousand, and a word on what is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vtune import plots
from vtune.errors import ArgumentError
from vtune.space import Choice, Float, Space

MARKUP = "<b>x</b> $y$ %{z}"


def frame_of(scores, states="complete"):
    return pd.DataFrame({"id": range(len(scores)), "state": states, "score": np.array(scores, float)})


def measurements_of(trials, evals):
    values = np.random.default_rng(0).random((trials, evals))
    return pd.DataFrame(
        {"trial": np.repeat(range(trials), evals), "step": np.tile(range(evals), trials), "loss": values.ravel()}
    ).assign(train_loss=lambda rows: rows["loss"] / 2)


def notes(figure):
    return " ".join(annotation.text for annotation in figure.layout.annotations)


def points(figure):
    return sum(len(trace.x) for trace in figure.data)


def trace(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_history_draws_every_trial_by_its_state_and_the_best_so_far():
    frame = frame_of([3.0, 1.0, 2.0, np.nan, 0.5], ["complete", "complete", "complete", "diverged", "running"])
    figure = plots.history(frame, "min")
    assert list(trace(figure, "complete").y) == [3.0, 1.0, 2.0]
    assert list(trace(figure, "running").x) == [4]
    assert list(trace(figure, "no score").x) == [3]
    assert "1 without a score" in notes(figure)
    line = trace(figure, "best so far")
    assert (list(line.x), list(line.y)) == ([0, 1, 4], [3.0, 1.0, 1.0])


def test_history_of_many_trials_is_thinned_says_so_and_keeps_the_records():
    scores = np.random.default_rng(0).random(50_000)
    figure = plots.history(frame_of(scores), "max", max_points=1000)
    assert points(figure) < 1100
    assert "showing 1,000 of 50,000 trials" in notes(figure)
    drawn = trace(figure, "complete")
    assert scores.max() in drawn.y
    assert trace(figure, "best so far").y[-1] == scores.max()


@pytest.mark.parametrize("mode", ["min", "max"])
def test_wild_scores_stand_at_the_edge_and_do_not_flatten_the_rest(mode):
    sign = 1 if mode == "min" else -1
    figure = plots.history(frame_of(sign * np.r_[np.linspace(1, 2, 60), 1e9]), mode)
    assert list(trace(figure, "beyond the axis").x) == [60]
    assert "1 beyond the axis" in notes(figure)
    low, high = figure.layout.yaxis.range
    assert high - low < 10


def test_a_logarithmic_axis_leaves_out_what_is_not_positive():
    figure = plots.history(frame_of([0.1, 0.0, -1.0, 0.01]), "min", log=True)
    assert figure.layout.yaxis.type == "log"
    assert list(trace(figure, "complete").y) == [0.1, 0.01]


@pytest.mark.parametrize("scores", [[], [np.nan, np.nan], [1.0], [1.0] * 30])
def test_history_of_odd_studies(scores):
    for log in (False, True):
        assert trace(plots.history(frame_of(scores), "min", log=log), "best so far").mode == "lines"


def test_curves_draw_the_best_as_lines_and_the_others_as_bands():
    figure = plots.curves(measurements_of(30, 8), frame_of(np.arange(30)[::-1]), "loss", top=3)
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert named == ["#27  2", "#28  1", "#29  0"]
    assert trace(figure, "others, median").customdata[0] == 27
    assert "best 3 of 30 trials" in notes(figure)
    assert "27 others" in notes(figure)


def test_curves_say_when_the_bands_stand_on_a_sample():
    figure = plots.curves(measurements_of(30, 8), frame_of(np.arange(500)), "loss", top=3)
    assert "best 3 of 500" in notes(figure)
    assert "27 sampled others" in notes(figure)


def test_curves_are_bounded_and_keep_their_ends():
    figure = plots.curves(measurements_of(4, 5000), frame_of(np.arange(4)), "loss", top=4, companion="train_loss")
    assert points(figure) <= 8000
    assert all((trace.x[0], trace.x[-1]) == (0, 4999) for trace in figure.data)
    assert {trace.line.dash for trace in figure.data} == {"solid", "dot"}


def test_an_unknown_metric_names_those_that_there_are():
    with pytest.raises(ArgumentError, match=r"'lost'.*'loss', 'train_loss'"):
        plots.curves(measurements_of(2, 2), frame_of([1, 2]), "lost")


def test_one_curve_leaves_out_metrics_that_are_missing():
    figure = plots.curve(measurements_of(1, 4), ["loss", "train_loss", "gone"])
    assert [trace.name for trace in figure.data] == ["loss", "train_loss"]


def test_slices_follow_the_space():
    space = Space(lr=Float(1e-5, 1e-1, log=True), drop=Float(0, 1), kind=Choice("a", "b", None))
    frame = pd.DataFrame(space.sample(200, np.random.default_rng(0))).assign(id=range(200), state="complete")
    frame["score"] = np.log10(frame["lr"])
    figure = plots.slices(frame, space, "min")
    assert [figure.layout[f"xaxis{i}"].type for i in ("", 2, 3)] == ["log", "linear", None]
    assert figure.layout.xaxis3.ticktext == ("a", "b", "None")
    best = next(t for t in figure.data if t.name == "best tenth")
    others = next(t for t in figure.data if t.name == "the others")
    assert len(best.x) == 20
    assert max(best.x) < min(others.x)
    few = plots.slices(frame, space, "min", max_points=90)
    assert points(few) <= 90
    assert "showing 30 of 200" in notes(few)


def test_text_of_the_user_is_never_markup():
    frame = frame_of([1.0, 2.0]).assign(**{MARKUP: ["<i>a</i>", "b"]})
    lines = measurements_of(2, 3).rename(columns={"loss": MARKUP})
    figures = [
        plots.history(frame, metric=MARKUP, hover=[MARKUP]),
        plots.curves(lines, frame, MARKUP),
        plots.curve(lines, [MARKUP]),
    ]
    for figure in figures:
        text = figure.to_json().replace("\\u003c", "<").replace("\\u003e", ">")
        assert "<b>" not in text
        assert "<i>" not in text
        assert "$y$" not in text
        assert "%{z}" not in text


def test_every_figure_has_the_common_look_and_keeps_the_readers_zoom():
    for figure in (plots.history(frame_of([1.0])), plots.curve(measurements_of(1, 2), ["loss"])):
        assert figure.layout.template == plots.TEMPLATE
        assert figure.layout.uirevision
        assert figure.layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_what_a_neglected_branch_promised_is_no_part_of_the_gain():
    proposals = pd.DataFrame({"trial": range(6), "gain": [0.5, 0.4, 1e-9, 0.2, 1e-9, 0.1]})
    assert points(plots.gain(proposals)) == 12
    kept = plots.gain(proposals.assign(neglected=[False, False, True, False, True, False]))
    assert trace(kept, "a proposal").x.tolist() == trace(kept, "running median").x.tolist() == [0, 1, 3, 5]
