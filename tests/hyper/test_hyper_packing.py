"""Sizes that are hyperparameters: caps, buckets and the guards that they leave."""

import jax
import jax.numpy as jnp
import pytest

from vtune.errors import ArgumentError
from vtune.hyper import Packing, Session, choice_index, choice_values, matches, packed_size
from vtune.space import Choice, Float, Int, Space

SPACE = Space(
    width=Int(8, 128, log=True), depth=Int(1, 4), heads=Choice(2, 8, 4), act=Choice("relu", "tanh"), lr=Float(0, 1)
)
CONFIG = {"width": 24, "depth": 2, "heads": 4, "act": "tanh", "lr": 0.5}


def run(function, packing=Packing(), configs=(CONFIG,)):
    session = Session(CONFIG, SPACE, packing=packing)
    program = jax.jit(jax.vmap(session.bind(function)))
    program.lower(session.abstract_columns(len(configs)))
    return session, program(session.layout.encode(list(configs)))


def test_the_cap_is_the_largest_value_and_the_mask_the_true_one():
    seen = []

    def mask(hp):
        size = packed_size(hp.width)
        seen.append(size.cap)
        return size.mask

    session, masks = run(mask, configs=[CONFIG, {**CONFIG, "width": 128}])
    assert set(seen) == {128}
    assert masks.sum(1).tolist() == [24, 128]
    assert session.kinds()["width"] == "packed"
    assert [guard.question for guard in session.guards] == ["hp.width <= 128"]


def test_a_bucket_serves_its_own_configs_only():
    session, _ = run(lambda hp: packed_size(hp.width).mask, Packing(intervals={"width": (17, 32)}))
    widths = [8, 16, 17, 24, 32, 33, 128]
    served = matches(session.guards, [{**CONFIG, "width": width} for width in widths])
    assert [width for width, match in zip(widths, served, strict=True) if match] == [17, 24, 32]


@pytest.mark.parametrize(
    ("expression", "cap", "value"),
    [
        (lambda hp: hp.width * 2, 256, 48),
        (lambda hp: hp.width * (hp.depth > 1), 128, 24),
        (lambda hp: hp.width * (hp.depth > 2), 128, 0),
        (lambda hp: hp.width // hp.heads, 64, 6),
        (lambda hp: hp.heads + 0, 8, 4),
    ],
)
def test_arithmetic_is_packed_with_its_own_cap(expression, cap, value):
    seen = []

    def size(hp):
        found = packed_size(expression(hp))
        seen.append(found.cap)
        return found.value

    _, values = run(size)
    assert values.tolist() == [value]
    assert set(seen) == {cap}


def test_what_is_not_packed_is_guarded_by_its_value():
    session, _ = run(lambda hp: jnp.zeros(packed_size(hp.width).cap), Packing(names=frozenset({"act"})))
    assert session.kinds() == {
        "width": "guarded",
        "depth": "traced",
        "heads": "traced",
        "act": "traced",
        "lr": "traced",
    }
    assert matches(session.guards, [CONFIG, {**CONFIG, "width": 25}]).tolist() == [True, False]


def test_a_choice_that_is_not_packed_has_no_position():
    positions = []

    def read(hp):
        positions.append(choice_index(hp.act))
        return hp.lr * (2 if hp.act == "tanh" else 1)

    session, _ = run(read, Packing(names=frozenset({"width"})))
    assert positions[0] is None
    assert session.kinds()["act"] == "guarded"


def test_choice_values_are_those_of_the_space():
    seen = []

    def read(hp):
        seen.extend([choice_values(hp.act), choice_values(hp.heads), choice_values(hp.width), choice_values("plain")])
        return hp.lr * choice_index(hp.act)

    run(read)
    assert seen[:4] == [("relu", "tanh"), (2, 8, 4), None, None]


def test_plain_lengths():
    size = packed_size(5)
    assert (size.value, size.cap, size.packed, size.mask.tolist()) == (5, 5, False, [True] * 5)
    with pytest.raises(TypeError):
        packed_size(2.5)


def test_a_size_needs_whole_numbers():
    with pytest.raises((ArgumentError, TypeError)):
        run(lambda hp: packed_size(hp.lr).mask)
    with pytest.raises(ArgumentError, match="whole numbers"):
        run(lambda hp: packed_size(hp.width - (hp.lr > 0.1)).mask)
