"""Ranges of packed sizes: who lies in which, what they cost, and when they are split."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.engine.buckets import MOST_PROGRAMS, Buckets, Workload, asked_for, divide, forecast
from vtune.engine.work import count_work
from vtune.errors import ArgumentError
from vtune.space import Choice, Float, Int, Space

SPACE = Space(width=Int(8, 256, log=True), depth=Int(1, 4), batch=Choice(64, 16, 32), lr=Float(0.0, 1.0))


class Layers:
    """A step of depth products with a matrix [width, width]."""

    data = None

    def init(self, hp, data, key):
        return {"w": jnp.ones((hp.width, hp.width))}

    def step(self, hp, state, data, key):
        x = jnp.ones((hp.batch, hp.width))
        for _ in range(hp.depth):
            x = x @ state["w"]
        return {"w": state["w"] - hp.lr * x.sum()}, {}

    def evaluate(self, hp, state, data, key):
        return {"loss": state["w"].sum()}


CONFIG = {"width": 32, "depth": 2, "batch": 32, "lr": 0.1}


@pytest.fixture(scope="module")
def work():
    return count_work(Layers(), SPACE, CONFIG, ("width", "depth", "batch"), None)


def load(trials, steps=500, compile_seconds=2.0):
    sample = SPACE.fill(SPACE.sample(256, np.random.default_rng(0)))
    return Workload(sample, trials, steps, block=16, compile_seconds=compile_seconds)


WHOLE = Buckets(ends={"width": (256,), "depth": (4,), "batch": (64,)})


def test_work_grows_like_the_operations_of_the_step(work):
    def seconds(**sizes):
        return float(work.seconds([{**CONFIG, **sizes}])[0])

    at_ends = {"width": 256, "depth": 4, "batch": 64}
    counted = jax.jit(lambda s, k: Layers().step(_Plain({**CONFIG, **at_ends}), s, None, k)).lower(
        {"w": jnp.ones((256, 256))}, jax.random.key(0)
    )
    flops = counted.cost_analysis()["flops"]
    assert seconds(**at_ends) == pytest.approx(work.rate * flops, rel=0.35)
    assert 1.5 < seconds(**at_ends) / seconds(**{**at_ends, "depth": 2}) < 2.1
    assert 1.3 < seconds(**at_ends) / seconds(**{**at_ends, "batch": 32}) < 2.1
    assert seconds(width=8) < seconds(width=9) < seconds(width=100)


class _Plain(dict):
    __getattr__ = dict.__getitem__


def test_a_measured_step_sets_the_rate(work):
    assert work.measured(CONFIG, 0.25).seconds([CONFIG])[0] == pytest.approx(0.25)


@given(st.sets(st.integers(8, 255), max_size=4), st.integers(8, 256))
def test_every_width_lies_in_exactly_one_range(ends, width):
    buckets = Buckets(ends={"width": (*sorted(ends), 256)})
    low, high = buckets.packing({"width": width}).intervals["width"]
    assert low <= width <= high
    assert [high] == [end for end in buckets.ends["width"] if end >= width][:1]
    assert buckets.largest([{"width": width}]) == [{"width": high}]


def test_few_trials_share_a_program_and_many_split(work):
    few = divide(WHOLE, work, load(16, steps=10), SPACE, tuple(WHOLE.ends))
    many = divide(WHOLE, work, load(100_000), SPACE, tuple(WHOLE.ends))
    assert (few.programs, few.buckets) == (1, WHOLE)
    assert 1 < many.programs <= MOST_PROGRAMS
    assert many.seconds < forecast(WHOLE, work, load(100_000)).seconds
    assert many.padded_share < forecast(WHOLE, work, load(100_000)).padded_share
    assert all(ends[-1] == WHOLE.ends[name][-1] for name, ends in many.buckets.ends.items())


def test_dear_compiles_are_avoided(work):
    cheap = divide(WHOLE, work, load(2000, compile_seconds=0.1), SPACE, tuple(WHOLE.ends))
    dear = divide(WHOLE, work, load(2000, compile_seconds=60.0), SPACE, tuple(WHOLE.ends))
    assert dear.programs < cheap.programs


def test_nothing_is_padded_where_each_value_has_a_range(work):
    each = Buckets(ends={"width": tuple(range(8, 257)), "depth": (1, 2, 3, 4), "batch": (16, 32, 64)})
    assert forecast(each, work, load(10)).padded_share == pytest.approx(0.0)


def test_only_free_ranges_are_split(work):
    found = divide(WHOLE, work, load(100_000), SPACE, ("depth",))
    assert {name for name, ends in found.buckets.ends.items() if len(ends) > 1} <= {"depth"}


def test_buckets_come_back_from_json():
    buckets = Buckets(frozenset({"width"}), {"width": (16, 256)})
    assert Buckets.from_json(buckets.to_json()) == buckets
    assert Buckets.from_json(Buckets().to_json()) == Buckets()


@pytest.mark.parametrize(
    ("pack", "buckets", "found"),
    [
        ("auto", "auto", Buckets()),
        (True, None, Buckets()),
        (False, "auto", Buckets(frozenset())),
        (("width", "depth"), "auto", Buckets(frozenset({"width", "depth"}))),
        ("width", "auto", Buckets(frozenset({"width"}))),
        (True, {"width": (32, 64)}, Buckets(None, {"width": (32, 64, 256)})),
        (True, {"width": 64, "batch": (999,)}, Buckets(None, {"width": (64, 256), "batch": (64,)})),
    ],
)
def test_what_the_user_asks_for(pack, buckets, found):
    assert asked_for(pack, buckets, SPACE) == found


@pytest.mark.parametrize(
    ("pack", "buckets", "message"),
    [
        ("widht", "auto", "widht"),
        (True, {"widht": (8,)}, "widht"),
        (True, {"width": (1, 2)}, "width"),
        (True, {"lr": (1,)}, "whole numbers"),
        (True, "all", "buckets must be"),
    ],
)
def test_what_the_user_may_not_ask_for(pack, buckets, message):
    with pytest.raises(ArgumentError, match=message):
        asked_for(pack, buckets, SPACE)


def test_a_forecast_counts_half_empty_blocks(work):
    wide = forecast(WHOLE, work, dataclasses.replace(load(1000), block=512))
    narrow = forecast(WHOLE, work, dataclasses.replace(load(1000), block=1))
    assert wide.train_seconds > narrow.train_seconds
