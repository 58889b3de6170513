"""Which transformations see padding, found by trying."""

import jax
import jax.numpy as jnp
import optax
import pytest
from optax import contrib

from vtune.errors import TaskError
from vtune.optim import check_padding, padded_leaves


def layer(width):
    return {"kernel": jnp.zeros((5, width)), "bias": jnp.zeros(3)}


TRUE, CAPS = layer(6), layer(12)
BLIND = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, 0.9),
    "nesterov": optax.sgd(0.1, 0.9, nesterov=True),
    "adam": optax.adam(0.1),
    "adamw": optax.adamw(0.1),
    "adadelta": optax.adadelta(0.1),
    "rmsprop": optax.rmsprop(0.1),
    "lion": optax.lion(0.1),
    "adagrad": optax.adagrad(0.1),
    "lamb": optax.lamb(0.1),
    "lars": optax.lars(0.1),
    "sm3": optax.sm3(0.1),
    "clip_by_global_norm": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
    "clip": optax.clip(1.0),
    "add_decayed_weights": optax.add_decayed_weights(0.1),
    "adaptive_grad_clip": optax.adaptive_grad_clip(0.1),
    "normalize_by_update_norm": optax.normalize_by_update_norm(),
    "extra arguments": optax.chain(optax.sgd(0.1), contrib.reduce_on_plateau()),
}
SEEING = {
    "adafactor": optax.adafactor(0.1),
    "centralize": optax.centralize(),
    "muon": contrib.muon(0.1),
    "clip_by_block_rms": optax.clip_by_block_rms(1.0),
    "add_noise": optax.add_noise(0.1, 0.5, jax.random.key(0)),
    "yogi": optax.yogi(0.1),
}


@pytest.mark.parametrize("name", BLIND)
def test_entry_by_entry_and_sums(name):
    assert padded_leaves(BLIND[name], TRUE, CAPS) == {}


@pytest.mark.parametrize("name", SEEING)
def test_means_shapes_and_draws(name):
    found = padded_leaves(SEEING[name], TRUE, CAPS)
    assert set(found) == {"kernel"}
    assert found["kernel"] > 0.1


def test_the_same_shapes_are_parity():
    assert padded_leaves(SEEING["adafactor"], TRUE, TRUE) == {}


def test_only_what_it_is_applied_to():
    true, caps = {"first": TRUE, "second": TRUE}, {"first": CAPS, "second": CAPS}
    tx = optax.masked(optax.centralize(), {"first": False, "second": True})
    assert list(padded_leaves(tx, true, caps)) == ["second/kernel"]


def test_one_of_several_paddings_is_enough():
    by_shape = optax.stateless(lambda updates, _: jax.tree.map(lambda each: each * len(each), updates))
    assert padded_leaves(by_shape, TRUE, CAPS) == {}
    assert list(padded_leaves(by_shape, TRUE, CAPS, {**CAPS, "kernel": jnp.zeros((10, 6))})) == ["kernel"]


def test_shapes_alone_and_axes_of_no_length():
    empty = {"w": jax.ShapeDtypeStruct((0, 4), jnp.bfloat16)}
    assert padded_leaves(optax.adamw(0.1), empty, {"w": jax.ShapeDtypeStruct((2, 6), jnp.bfloat16)}) == {}


def test_the_error_names_leaves_and_the_transformation():
    tx = optax.chain(optax.clip(1.0), optax.centralize(), optax.sgd(0.1))
    with pytest.raises(TaskError, match=r"those of optimizer\(hp\) do, for kernel .* It is due to centralize\."):
        check_padding(tx, TRUE, CAPS)
    check_padding(optax.sgd(0.1), TRUE, CAPS)
