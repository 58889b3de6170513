import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import spaces

from vtune.proposers.choosing import choose, kernels
from vtune.proposers.mixtures import Focus, Settings, good_count, log, mix, thinned
from vtune.proposers.parzen import NARROWEST, Layout
from vtune.space import Choice, Float, Int, Space

FLAT = Space(
    x=Float(0.0, 1.0), lr=Float(1e-5, 1e-1, log=True), n=Int(1, 9), width=Int(1, 500, log=True), c=Choice("a", "b", "c")
)
TREE = Space(
    x=Float(0.0, 1.0),
    c=Choice("a", "b", "c"),
    y=Float(0.0, 1.0, when={"c": ("a", "b")}),
    n=Int(1, 5, when={"c": "a"}),
    z=Float(0.0, 1.0, when={"n": (2, 3)}),
)


def log_density(space, rows, weights, prior, widths, at):
    """Log density of a mixture at points [m, dim], against the prior: by picking all of them, with nothing bad."""
    layout = Layout(space)
    size = 64
    padded = np.pad(rows, ((0, size - len(rows)), (0, 0)), constant_values=np.nan)
    total = weights.sum() + prior
    with np.errstate(divide="ignore"):
        good = np.log(np.pad(weights, (0, size - len(rows))) / total).astype(np.float32)[None]
    both = kernels(layout, [widths])
    chosen = choose(
        layout, layout.points(at[None]), np.ones((1, len(at)), bool), layout.points(padded), good,
        np.full((1, size), -np.inf, np.float32), np.array([[np.log(prior / total)], [0.0]], np.float32), both, both,
        np.array([-np.inf], np.float32), turn=0, n=len(at), most=len(at),
    )  # fmt: skip
    assert sorted(chosen.candidate.tolist()) == list(range(len(at)))
    return chosen.gain[np.argsort(chosen.candidate)]


def some(space, count, seed=0):
    rng = np.random.default_rng(seed)
    rows = space.snap(0.3 + 0.4 * rng.random((count, space.dim)))
    weights = rng.random(count) + 0.2
    return rows, weights, Layout(space).widths(rows, weights, 0.7), rng


@pytest.mark.parametrize("space", [FLAT, TREE])
def test_the_density_of_a_mixture_is_one_on_the_average_of_the_prior(space):
    rows, weights, widths, rng = some(space, 12)
    density = np.exp(log_density(space, rows, weights, 0.3, widths, space.snap(rng.random((1024, space.dim)))))
    assert density.mean() == pytest.approx(1.0, abs=float(4 * density.std() / 32))
    assert density.std() > 0.5


def test_draws_are_as_dense_as_the_mixture_says():
    rows, weights, widths, rng = some(FLAT, 12)
    drawn = Layout(FLAT).draw(1024, rows, weights, 0.3, widths, 0.0, rng)
    ratio = np.exp(-log_density(FLAT, rows, weights, 0.3, widths, drawn))
    assert ratio.mean() == pytest.approx(1.0, abs=float(4 * ratio.std() / 32))


@settings(max_examples=30, deadline=None)
@given(spaces(most=4, count=30), st.integers(1, 9), st.integers(0, 99))
def test_draws_lie_where_configurations_are(space, count, seed):
    rng = np.random.default_rng(seed)
    rows, layout = space.snap(rng.random((count, space.dim))), Layout(space)
    widths = layout.widths(rows, np.ones(count), 0.5)
    drawn = layout.draw(50, rows, np.ones(count), 0.5, widths, 0.5, rng)
    configs = space.from_unit(drawn)
    np.testing.assert_allclose(space.to_unit(configs), drawn, atol=1e-12)


def test_what_becomes_active_in_a_draw_is_drawn_around_rows_where_it_is():
    space = Space(c=Choice("a", "b"), y=Float(0.0, 1.0, when={"c": "a"}))
    rows = space.to_unit([{"c": "b"}] * 30 + [{"c": "a", "y": 0.9}] * 2)
    widths = Layout(space).widths(rows, np.ones(32), 0.1)
    drawn = Layout(space).draw(4000, rows, np.ones(32), 1e-9, widths, 0.0, np.random.default_rng(0))
    y = drawn[~np.isnan(drawn[:, 1]), 1]
    assert len(y) > 4000 * 2 / 33
    assert np.abs(y - 0.9).max() < 0.4


def test_kernels_are_as_wide_as_rows_are_spread_and_narrower_the_more_there_are():
    layout, rng = Layout(Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))), np.random.default_rng(0)

    def widths(count, spread):
        rows = 0.5 + spread * (rng.random((count, 2)) - 0.5)
        return layout.widths(rows, np.ones(count), 1.0).lines

    assert (widths(20, 0.1) < 0.5 * widths(20, 1.0)).all()
    assert (widths(2000, 1.0) < 0.6 * widths(20, 1.0)).all()
    assert (layout.widths(np.full((10**4, 2), 0.5), np.ones(10**4), 0.1).lines == NARROWEST).all()
    assert (layout.widths(np.full((1, 2), np.nan), np.ones(1), 1.0).lines > 0.2).all(), "nothing known: the prior's"


def test_tables_are_chances():
    widths = some(FLAT, 12)[2]
    assert [len(chances) for chances in widths.tables] == [9, 3]
    for chances in widths.tables:
        np.testing.assert_allclose(chances.sum(axis=1), 1.0)
        assert (chances > 0).all()
        assert (chances.argmax(axis=1) == np.arange(len(chances))).all()
    numbers, choices = widths.tables
    assert (np.diff(numbers[4]) * [1, 1, 1, 1, -1, -1, -1, -1] > 0).all(), "near numbers are alike"
    assert len(set(choices[0, 1:])) == 1, "choices are not"


@given(st.integers(1, 5000), st.integers(2, 64))
def test_a_thinned_history_stands_for_the_whole(count, most):
    order = np.random.default_rng(0).permutation(count)
    rows, shares = thinned(order, most)
    assert len(rows) == len(shares) == min(count, most)
    assert shares.sum() == pytest.approx(count)
    assert len(set(rows.tolist())) == len(rows)
    assert (np.diff(np.argsort(order)[rows]) > 0).all(), "from best to worst"
    assert (rows[: most // 2] == order[: most // 2]).all()


@given(st.integers(1, 10**6), st.sampled_from([0.3, 1.0, 2.0]))
def test_some_trials_are_good_and_few_of_many(trials, factor):
    own = Settings()
    count = good_count(trials, Focus(1.0, factor), own)
    assert 1 <= count <= trials
    assert count <= max(own.most * factor + 1, 1)


def test_the_good_are_the_best_and_all_others_are_bad():
    space = Space(x=Float(0.0, 1.0))
    unit = np.linspace(0, 1, 100)[:, None]
    pending = np.array([[0.33], [0.44]])
    order = np.argsort(np.abs(unit[:, 0] - 0.7))
    own = Settings()
    mixed = mix(Layout(space), own, unit, order, pending)
    assert (mixed.told == order).all()
    for focus, weights in enumerate(mixed.good):
        bad, prior = mixed.bad[focus], mixed.bad_prior[focus]
        assert weights.sum() + mixed.good_prior[focus] == pytest.approx(1.0)
        assert bad.sum() + prior == pytest.approx(1.0)
        assert (np.diff(weights) < 0).all()
        assert (bad[: len(weights)] == 0).all()
        np.testing.assert_allclose(bad[len(weights) : 100], prior / own.bad_prior)
        np.testing.assert_allclose(bad[100:102], mixed.repulsion[focus])
        assert mixed.repulsion[focus] == pytest.approx(prior * own.repulsion / own.bad_prior)
        assert (bad[102:] == 0).all()
    np.testing.assert_array_equal(mixed.rows[100:102], pending)
    assert np.isinf(log(mixed.bad)[:, 102:]).all()
