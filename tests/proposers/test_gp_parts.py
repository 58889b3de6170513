import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.scipy.stats import multivariate_normal
from spaces import spaces

from vtune.proposers.gaussian import batch, draws
from vtune.proposers.gaussian.candidates import candidates
from vtune.proposers.gaussian.draws import Known
from vtune.proposers.gaussian.features import Features
from vtune.proposers.gaussian.fit import CENTRE, LEAST_NOISE, SPREAD, beginnings, fit, improbability
from vtune.proposers.gaussian.kernel import Hyper, gram, scaled
from vtune.proposers.gaussian.precision import double
from vtune.proposers.gaussian.values import full
from vtune.proposers.gaussian.warp import Warp
from vtune.proposers.history import History
from vtune.proposers.standing import standing
from vtune.space import Choice, Float, Int, Space


@settings(max_examples=30, deadline=None)
@given(spaces(most=5, count=20), st.integers(0, 99))
def test_distances_between_features_tell_configs_apart_and_nothing_else(space, seed):
    rng = np.random.default_rng(seed)
    features = Features(space)
    unit = space.snap(rng.random((12, space.dim)))
    rows = features.embed(unit)
    assert rows.shape == (12, features.width)
    assert np.isfinite(rows).all()
    apart = ((rows[:, None] - rows[None]) ** 2).sum(-1)
    differ = (np.nan_to_num(unit[:, None], nan=-1.0) != np.nan_to_num(unit[None], nan=-1.0)).any(-1)
    assert ((apart > 1e-20) == differ).all()


@settings(max_examples=30, deadline=None)
@given(spaces(most=5, count=20), st.integers(0, 99))
def test_numbers_go_to_features_and_back(space, seed):
    features = Features(space)
    unit = space.snap(np.random.default_rng(seed).random((6, space.dim)))
    np.testing.assert_array_equal(features.moved(unit, features.embed(unit)), unit)
    assert (features.movable(unit).sum(1) == (~np.isnan(unit[:, features.dims])).sum(1)).all()


def test_two_values_of_a_choice_are_one_apart_and_an_ordered_one_has_ranks():
    space = Space(kind=Choice("a", "b", "c"), batch=Choice(16, 32, 64), flag=Choice(True, False))
    features = Features(space)
    rows = features.embed(space.snap(np.array([[0.1, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.9, 0.1], [0.9, 0.9, 0.9]])))
    own = [features.group == label for label in range(4)]
    assert np.linalg.norm((rows[0] - rows[1])[own[0]]) == pytest.approx(1.0)
    assert np.linalg.norm((rows[1] - rows[2])[own[1]]) == pytest.approx(1 / 3)
    assert np.linalg.norm((rows[1] - rows[2])[own[2]]) == pytest.approx(1.0)
    assert np.linalg.norm((rows[2] - rows[3])[own[3]]) == pytest.approx(1.0)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40))
def test_warping_keeps_the_order_and_finds_its_way_back(scores):
    scores = np.array(scores)
    warp = Warp.of(scores)
    assert np.isfinite(warp.values).all()
    assert (np.diff(warp.values[np.argsort(scores)]) >= -1e-9).all()
    size = np.abs(scores).max() + 1
    good = scores <= np.median(scores)
    np.testing.assert_allclose(warp.inverse(warp.values)[good], scores[good], atol=1e-6 * size)


def problem(n, noise=0.0):
    """Rows [64, 8] of which only the first column matters, and their scores."""
    rng = np.random.default_rng(3)
    x = np.zeros((64, 8))
    x[:n, :3] = rng.random((n, 3))
    y = np.zeros((1, 64))
    y[0, :n] = np.sin(7 * x[:n, 0]) + noise * rng.standard_normal(n)
    return x, y, np.arange(64) < n


def test_the_gradient_of_the_evidence_is_that_of_the_density():
    x, y, real = problem(50, 0.1)
    group = np.array([0, 0, 1, 2, 3, 4, 5, 6], dtype=np.int32)

    def plain(free):
        noise = CENTRE.noise + SPREAD.noise * free[-1]
        hyper = Hyper(
            CENTRE.scales + SPREAD.scales * free[:-2],
            CENTRE.signal + SPREAD.signal * free[-2],
            jnp.logaddexp(noise, jnp.log(LEAST_NOISE)),
        )
        matrix = gram(scaled(x, hyper, group), real, hyper)
        return 0.5 * free @ free - multivariate_normal.logpdf(y[0], jnp.zeros(64), matrix)

    with double():
        for free in np.random.default_rng(1).standard_normal((3, 10)):
            value, slope = improbability(jnp.asarray(free), x, jnp.asarray(y[0]), real, group)
            expected, reference = jax.value_and_grad(plain)(jnp.asarray(free))
            np.testing.assert_allclose(value, expected - 32 * np.log(2 * np.pi), rtol=1e-9)
            np.testing.assert_allclose(slope, reference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_length_scales_and_noise_are_found(noise):
    x, y, real = problem(50, noise)
    with double():
        starts = beginnings(np.random.default_rng(0), 2, 8)
        hyper = fit(x, y, real, np.arange(8, dtype=np.int32), starts)
    scales, found = np.exp(np.asarray(hyper.scales[0])), np.exp(0.5 * float(hyper.noise[0]))
    assert scales[0] < 0.5 * scales[1:3].min()
    assert abs(found - noise) < 0.15


def test_draws_have_the_moments_of_the_posterior():
    x, y, real = problem(12)
    hyper = Hyper(np.full(8, -0.7), np.array(0.3), np.array(-4.0))
    rng = np.random.default_rng(0)
    base = jax.tree.map(lambda leaf: leaf[0], draws.base(rng, 1, 2000, 1024, 8, 64))
    at = np.zeros((5, 8))
    at[:, :3] = rng.random((5, 3))
    with double():
        drawn = draws.condition(Known(x, y[0], real, np.arange(8), hyper), base)
        values = np.asarray(draws.values(drawn, at))
        mean, deviation = (np.asarray(part) for part in draws.moments(drawn, at))
        along = np.asarray(draws.along(drawn, at))
    np.testing.assert_allclose(values.mean(1), mean, atol=0.1)
    np.testing.assert_allclose(values.std(1), deviation, rtol=0.15)
    np.testing.assert_allclose(along, np.diagonal(values[:, :5]), rtol=1e-9)


def test_the_loss_of_several_objectives_measures_the_volume_they_dominate():
    rays = np.abs(np.random.default_rng(0).standard_normal((2, 200_000)))
    scale = batch.Scale(np.ones(2), rays / np.linalg.norm(rays, axis=0))

    def volume(points):
        losses = batch.loss(jnp.asarray(points).T[:, :, None], scale)
        return float(-losses.min(axis=0).mean()) * np.pi / 4

    assert volume([[0.0, 0.0]]) == pytest.approx(1.0, rel=0.02)
    assert volume([[0.5, 0.5]]) == pytest.approx(0.25, rel=0.02)
    assert volume([[0.0, 0.5], [0.5, 0.0]]) == pytest.approx(0.75, rel=0.02)


def test_candidates_stay_in_the_cube_and_near_their_parents():
    space = Space(a=Float(0, 1), b=Int(1, 5), c=Choice("x", "y", "z"), d=Float(0, 1, when={"c": "x"}))
    rng = np.random.default_rng(0)
    unit = space.snap(rng.random((40, 4)))
    drawn = candidates(space, unit, np.ones(4), rng)
    assert ((drawn.points >= 0) & (drawn.points <= 1)).all()
    local = drawn.parent >= 0
    gap = np.abs(drawn.points[local, 0] - unit[drawn.parent[local], 0])
    assert (gap <= 0.5 * drawn.reach[local, 0] + 1e-12).all()
    assert len(np.unique(space.snap(drawn.points), axis=0)) > 0.8 * len(drawn.points)


def test_a_stopped_trial_has_a_score_between_its_neighbours():
    space = Space(a=Int(0, 9))
    history = History(space)
    history.tell([{"a": i} for i in range(5)], [5.0, 1.0, 4.0, 3.0, np.nan], steps=[1, 1, 1, 1, 1])
    history.tell([{"a": 1}, {"a": 2}], [0.1, 0.5], steps=[2, 2])
    order = standing(history)
    scores = dict(zip((history.unit[order, 0] * 10).astype(int).tolist(), full(history, order)[:, 0], strict=True))
    assert scores[1] == 0.1
    assert scores[2] == 0.5
    assert 0.1 <= scores[3] <= 0.5
    assert scores[0] >= 0.5
    assert scores[4] == max(scores.values())
