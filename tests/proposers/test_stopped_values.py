"""What a stopped trial is expected to come to, by those that went on."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vtune.proposers.gaussian.values import expected, full
from vtune.proposers.history import History
from vtune.proposers.standing import standing
from vtune.space import Float, Space

scores = st.lists(st.floats(-10, 10), min_size=1, max_size=12).map(np.array)


@given(scores, scores, st.randoms(use_true_random=False))
def test_it_rises_with_what_it_had_and_is_finite(now, before, random):
    after = np.array([random.uniform(-5, 5) for _ in before])
    found = expected(np.sort(now), before, after, 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-9).all()


def test_where_curves_are_parallel_it_is_what_comes():
    rng = np.random.default_rng(0)
    unit = rng.random(60)
    final = (unit - 0.4) ** 2
    early = final + 0.3
    on = early <= np.median(early)
    history = History(Space(x=Float(0.0, 1.0)))
    configs = [{"x": x} for x in unit]
    history.tell(configs, early, np.full(60, 10))
    history.tell([config for config, goes in zip(configs, on, strict=True) if goes], final[on], np.full(on.sum(), 30))
    order = standing(history)
    truth = (history.unit[order, 0] - 0.4) ** 2
    np.testing.assert_allclose(full(history, order)[:, 0], truth, atol=1e-9)


def test_a_later_trial_that_stops_is_not_held_worse_than_an_early_one_that_went_on():
    """The first of a rung goes on whatever it has: what comes later may be better and be stopped all the same."""
    history = History(Space(x=Float(0.0, 1.0)))
    told = [(0.1, 0.9), (0.2, 0.5), (0.3, 0.4), (0.4, 0.6)]
    history.tell([{"x": x} for x, _ in told], [score for _, score in told], [10] * 4)
    history.tell([{"x": 0.1}, {"x": 0.3}], [0.8, 0.2], [30, 30])
    order = standing(history)
    found = dict(zip(history.unit[order, 0].round(1).tolist(), full(history, order)[:, 0].tolist(), strict=True))
    assert found[0.3] == 0.2
    assert found[0.3] < found[0.2] < found[0.4] < found[0.1] == 0.8


def test_objectives_are_learned_one_by_one():
    history = History(Space(x=Float(0.0, 1.0)))
    history.tell([{"x": 0.1}, {"x": 0.2}], [[1.0, 7.0], [2.0, 8.0]], [10, 10])
    history.tell([{"x": 0.1}], [[0.5, 7.0]], [30])
    order = standing(history)
    found = full(history, order)[np.argsort(history.unit[order, 0])]
    np.testing.assert_allclose(found, [[0.5, 7.0], [1.5, 8.0]])
