"""The experiments with real models run end to end at small size, learn, and compute what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vtune
from vtune.store import open_reader

pytest.importorskip("sklearn")
sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

import adapters
import augmented_cnn
import burgers
import char_transformer
import out_of_core
import ppo


@pytest.fixture
def small(monkeypatch, tmp_path, capsys):
    """Runs an experiment as `--small` does; gives its studies by the names of their tasks, and what it printed."""

    def run(experiment):
        store = str(tmp_path / "vtune.db")
        monkeypatch.setattr(sys, "argv", [experiment.__name__, "--small", "--store", store])
        experiment.main()
        names = [record.name for record in open_reader(store).studies()]
        return {name[:-18]: vtune.load(store, name) for name in names}, capsys.readouterr().out

    return run


def test_a_cnn_with_augmentation_trains_in_one_program(small):
    studies, printed = small(augmented_cnn)
    study = studies["augmented-cnn"]
    explained = study.explain()
    assert (len(explained.programs), explained.compiles) == (1, 1)
    assert set(explained.kinds.values()) == {"traced"}
    frame = study.frame()
    assert dict(frame.loc[frame["origin"] == "enqueued", [*augmented_cnn.PLAIN]].iloc[0]) == augmented_cnn.PLAIN
    assert study.best.score > 0.5
    assert "Without augmentation" in printed


def test_images_move_by_whole_and_by_half_pixels():
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype("float32")
    np.testing.assert_array_equal(augmented_cnn.shifted(image, jnp.zeros((1, 2))), image)
    down = augmented_cnn.shifted(image, jnp.array([[-1.0, 0.0]]))
    np.testing.assert_array_equal(down[:, 1:], image[:, :-1])
    assert not down[:, 0].any()
    half = augmented_cnn.shifted(image, jnp.array([[0.0, 0.5]]))
    np.testing.assert_allclose(half[:, :, :-1], (image[:, :, 1:] + image[:, :, :-1]) / 2, rtol=1e-6)


def test_strengths_of_augmentation_are_what_they_are_called():
    images, key = np.random.default_rng(0).uniform(1, 2, (64, 8, 8, 1)).astype("float32"), jax.random.key(0)

    def changed(**strengths):
        hp = SimpleNamespace(**augmented_cnn.PLAIN | strengths)
        return np.asarray(augmented_cnn.augment(hp, (images, np.arange(64)), key)[0])

    np.testing.assert_array_equal(changed(), images)
    np.testing.assert_array_equal(changed(flip=1.0), images[:, :, ::-1])
    blank = (changed(cutout=3.0) == 0).sum((1, 2, 3))
    assert 0 < blank.min() < blank.max() <= 9
    assert (changed(shift=1.5) != images).any((1, 2, 3)).all()


def test_a_transformer_learns_letters_in_a_program_for_each_depth(small):
    studies, printed = small(char_transformer)
    study = studies["char-transformer"]
    explained = study.explain()
    assert len(explained.programs) == 2
    assert sum(program.trials for program in explained.programs) == 8
    rows = char_transformer.sources(16, char_transformer.SOURCES[-1:])
    shares = np.bincount(rows.ravel()) / rows.size
    of_letters = -(shares * np.log2(np.maximum(shares, 1e-9))).sum()
    assert study.best.score < of_letters
    assert "A table of letter pairs" in printed


def test_letters_do_not_see_what_follows_them():
    network = char_transformer.Transformer(depth=1, width=8, heads=2, dropout=0.0)
    letters = jnp.arange(8)[None]
    variables = network.init(jax.random.key(0), letters)
    before, after = (network.apply(variables, each) for each in (letters, letters.at[0, 5].set(99)))
    np.testing.assert_array_equal(before[0, :5], after[0, :5])
    assert (before[0, 5:] != after[0, 5:]).any(-1).all()


def test_windows_cover_the_text_and_share_a_letter():
    rows = char_transformer.windows("abcdefgh", 3)
    assert [bytes(row).decode() for row in rows] == ["abcd", "defg"]


def test_a_table_of_pairs_knows_what_always_follows():
    rows = char_transformer.windows("ab" * 2000, 10)
    assert char_transformer.bits_of_pairs(rows, rows) < 0.2
    noise = np.random.default_rng(0).integers(0, 128, (2000, 11), np.uint8)
    assert char_transformer.bits_of_pairs(noise, noise) == pytest.approx(7, abs=0.6)


def test_256_adapters_share_a_program_and_one_frozen_network(small):
    studies, printed = small(adapters)
    study = studies["adapters"]
    explained = study.explain()
    assert (explained.trials, len(explained.programs), explained.kinds["rank"]) == (256, 1, "traced")
    assert (study.frame()["state"] == "complete").sum() == 256
    first = study.curves().groupby("trial")["bits"].first()
    assert study.best.score < first.min()
    base, best = (
        jax.tree.leaves(each.best_params()["params"]["head"]) for each in (studies["base-transformer"], study)
    )
    for ours, theirs in zip(best, base, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    table = printed.split("MiB for 256")[1]
    whole, ours = (float(line.split("│")[-2]) for line in table.splitlines() if line.startswith("│"))
    assert ours < whole


def test_an_adapter_is_the_layer_plus_a_product_of_its_rank():
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    layer = adapters.Adapted(5, rank=2, alpha=3.0)
    params = layer.init(jax.random.key(0), x)["params"]
    np.testing.assert_array_equal(layer.apply({"params": params}, x), x @ params["kernel"] + params["bias"])
    up = jax.random.normal(jax.random.key(1), params["up"]["kernel"].shape)
    low = 3.0 / 2 * x @ params["down"]["kernel"][:, :2] @ up[:2]
    changed = layer.apply({"params": {**params, "up": {"kernel": up}}}, x)
    np.testing.assert_allclose(changed, x @ params["kernel"] + low, rtol=1e-4, atol=1e-5)


def test_agents_learn_to_balance_a_pole(small):
    studies, _ = small(ppo)
    study = studies["ppo"]
    explained = study.explain()
    assert (len(explained.programs), set(explained.kinds.values())) == (1, {"traced"})
    frame = study.frame()
    assert (frame["step"] == 10_240 // (8 * 64)).all()
    assert study.best.score > 150
    assert frame["reward"].between(1, 500).all()
    assert (frame["reward_std"] > 0).any()


def test_the_pole_falls_to_the_side_that_it_is_pushed_from():
    env, state, steps, fell = ppo.CartPole(), jnp.zeros(4), 0, False
    while not fell:
        mirrored = -env.step(-state, 0)[0]
        state, fell = env.step(state, 1)
        np.testing.assert_allclose(state, mirrored, rtol=1e-6)
        steps += 1
    assert 5 < steps < 15
    assert state[0] > 0 > state[2]


def test_cart_pole_is_that_of_gymnax():
    gymnax = pytest.importorskip("gymnax")
    env, params = gymnax.make("CartPole-v1")
    rng, ours = np.random.default_rng(0), ppo.CartPole()
    key, theirs = jax.random.key(0), env.reset_env(jax.random.key(1), params)[1]
    for action in rng.integers(0, 2, 8).tolist():
        state = jnp.stack([theirs.x, theirs.x_dot, theirs.theta, theirs.theta_dot])
        theirs = env.step_env(key, theirs, action, params)[1]
        expected = jnp.stack([theirs.x, theirs.x_dot, theirs.theta, theirs.theta_dot])
        np.testing.assert_allclose(ours.step(state, action)[0], expected, rtol=1e-5)


def test_advantages_are_the_discounted_sums_of_surprises():
    rng, hp = np.random.default_rng(0), SimpleNamespace(discount=0.9, trace=0.8)
    task = ppo.PPO(envs=3, horizon=5)
    value, after = rng.normal(size=(2, 5, 3))
    fell = rng.random((5, 3)) < 0.3
    over = fell | (rng.random((5, 3)) < 0.3)
    found = task.advantages(hp, ppo.Seen(None, None, None, value, after, fell, over))
    for env in range(3):
        for begin in range(5):
            expected = 0.0
            for time in range(begin, 5):
                surprise = 1 + 0.9 * after[time, env] * (not fell[time, env]) - value[time, env]
                expected += (0.9 * 0.8) ** (time - begin) * surprise
                if over[time, env]:
                    break
            assert found[begin, env] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_network_solves_burgers_equation_without_having_seen_a_solution(small):
    studies, printed = small(burgers)
    study = studies["burgers"]
    assert len(study.explain().programs) == 1
    first = study.curves().groupby("trial")["error"].first()
    assert study.best.score < 0.4 < first.min()
    assert "With weights of 1" in printed


def test_the_exact_solution_fulfils_the_equation():
    t, x, step = np.full(9, 0.4), np.linspace(-0.8, 0.8, 9), 1e-4
    u = burgers.exact(t, x)
    left, right = burgers.exact(t, x - step), burgers.exact(t, x + step)
    later, before = burgers.exact(t + step, x), burgers.exact(t - step, x)
    slope, bend = (right - left) / (2 * step), (right - 2 * u + left) / step**2
    np.testing.assert_allclose((later - before) / (2 * step) + u * slope, burgers.VISCOSITY * bend, atol=1e-4)
    np.testing.assert_allclose(burgers.exact(np.zeros(9), x), -np.sin(np.pi * x), atol=1e-12)


def test_what_is_left_of_the_equation_is_nothing_for_the_exact_solution(monkeypatch):
    class Still:
        """The steady solution -2 v tanh(x), in the place of the network."""

        def __init__(self, width, scale):
            pass

        def apply(self, params, t, x):
            return -2 * burgers.VISCOSITY * jnp.tanh(x) + 0.0 * t

    monkeypatch.setattr(burgers, "Field", Still)
    found = burgers.Burgers().losses(SimpleNamespace(scale=1.0), None, jax.random.key(0))
    assert found["equation_loss"] < 1e-10
    assert found["boundary_loss"] == pytest.approx((2 * burgers.VISCOSITY * np.tanh(1)) ** 2, rel=1e-4)


def test_data_on_disk_are_loaded_once_for_all_lanes(small):
    studies, printed = small(out_of_core)
    study = studies["out-of-core"]
    assert study.explain().lanes == 16
    assert set(study.frame()["step"]) == {20_000 // out_of_core.BATCH}
    assert study.best.metrics["r2"] > 0.3
    loaded = int(next(line for line in printed.splitlines() if "windows loaded" in line).split("│")[2])
    assert 5 <= loaded <= 7
