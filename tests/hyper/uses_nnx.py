"""Uses of flax.nnx with a hyperparameter `h` in place of a number: called, differentiated, optimised."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from uses import FLOATS as F
from uses import Use

I = (4, 8, 4)  # noqa: E741
ZERO = (0.0, 0.1, 0.2)
X = jnp.ones((4, 8))
IMAGE = jnp.ones((2, 8, 8, 4))
SEQUENCE = jnp.ones((2, 6, 8))
TOKENS = jnp.ones((2, 6), int)


def rngs():
    return nnx.Rngs(0, dropout=1)


def numbers(tree):
    return [leaf for leaf in jax.tree.leaves(tree) if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]


def of(make, *inputs, values=F):
    def use(h):
        module = make(h)

        def total(m):
            return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(m(*inputs)))

        return module(*inputs), jax.tree.leaves(nnx.grad(total)(module)), numbers(nnx.state(module))

    return Use(use, values)


class Net(nnx.Module):
    def __init__(self, rate, width=8, gain=1.0, *, rngs):
        self.first = nnx.Linear(8, width, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.rate = rate
        self.gain = gain
        self.last = nnx.Linear(width, 8, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.first(x)) * self.gain
        return self.last(self.dropout(x) if self.rate > 0 else x)


class Stored(nnx.Module):
    def __init__(self, h, rngs):
        self.layer = nnx.Linear(8, 8, rngs=rngs)
        self.options = {"a": h}
        self.both = (h, 2)

    def __call__(self, x):
        return self.layer(x) * self.options["a"] * self.both[0]


class StoredArray(nnx.Module):
    def __init__(self, h, rngs):
        self.param = nnx.Param(jnp.asarray(h))
        self.layer = nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, x):
        return self.layer(x) * self.param


def net(h):
    return Net(h, gain=h, rngs=rngs())


def optimised(make, rate=None, jit=False):
    """Two steps of adamw with weight decay `h`."""

    def use(h):
        module = make(h)
        optimizer = nnx.Optimizer(module, optax.adamw(h if rate is None else rate, weight_decay=h), wrt=nnx.Param)

        def step(m, o):
            loss, grads = nnx.value_and_grad(lambda m: (m(X) ** 2).mean())(m)
            o.update(m, grads)
            return loss

        step = nnx.jit(step) if jit else step
        losses = step(module, optimizer), step(module, optimizer)
        return losses, jax.tree.leaves(nnx.state(module, nnx.Param))

    return Use(use)


def fixed(h):
    return Net(0.1, rngs=rngs())


def scan_training(h):
    graph, state = nnx.split(net(h))

    def step(state, _):
        module = nnx.merge(graph, state)
        loss, grads = nnx.value_and_grad(lambda m: (m(X) ** 2).mean())(module)
        nnx.update(module, jax.tree.map(lambda p, g: p - h * g, nnx.state(module, nnx.Param), grads))
        return nnx.state(module), loss

    return jax.lax.scan(step, state, None, length=3)[1]


def scan_layers(h):
    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def layers(r):
        return Net(h, gain=h, rngs=r)

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def forward(c, m):
        return m(c)

    return forward(X, layers(rngs()))


def jit_graph_argument(h):
    graph, state = nnx.split(net(h))
    return jax.jit(lambda g, s, x: nnx.merge(g, s)(x))(graph, state, X)


def jit_state(h):
    graph, state = nnx.split(net(h))
    return jax.jit(lambda s, x: nnx.merge(graph, s)(x))(state, X)


def metric(h):
    average = nnx.metrics.Average()
    average.update(values=X * h)
    return average.compute()


def abstract(h):
    state = nnx.state(nnx.eval_shape(lambda: net(h)), nnx.Param)
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.tree.leaves(state))


LAYERS = {
    "Linear": of(lambda h: nnx.Linear(8, h, rngs=rngs()), X, values=I),
    "Linear, kernel_init": of(lambda h: nnx.Linear(8, 4, kernel_init=nnx.initializers.normal(h), rngs=rngs()), X),
    "LinearGeneral": of(lambda h: nnx.LinearGeneral(8, (h, 2), rngs=rngs()), X, values=I),
    "Einsum": of(lambda h: nnx.Einsum("bi,ij->bj", (8, h), rngs=rngs()), X, values=I),
    "Conv, features": of(lambda h: nnx.Conv(4, h, (3, 3), rngs=rngs()), IMAGE, values=I),
    "Conv, kernel": of(lambda h: nnx.Conv(4, 4, (h, h), rngs=rngs()), IMAGE, values=(3, 5)),
    "Conv, stride": of(lambda h: nnx.Conv(4, 4, (3, 3), strides=h, rngs=rngs()), IMAGE, values=(1, 2)),
    "Embed": of(lambda h: nnx.Embed(h, 8, rngs=rngs()), TOKENS, values=I),
    "Dropout": of(lambda h: nnx.Dropout(h, rngs=rngs()), X),
    "Dropout, zero": of(lambda h: nnx.Dropout(h, rngs=rngs()), X, values=ZERO),
    "BatchNorm, momentum": of(lambda h: nnx.BatchNorm(8, momentum=h, rngs=rngs()), X),
    "BatchNorm, epsilon": of(lambda h: nnx.BatchNorm(8, epsilon=h, rngs=rngs()), X),
    "LayerNorm": of(lambda h: nnx.LayerNorm(8, epsilon=h, rngs=rngs()), X),
    "RMSNorm": of(lambda h: nnx.RMSNorm(8, epsilon=h, rngs=rngs()), X),
    "GroupNorm, groups": of(lambda h: nnx.GroupNorm(8, h, rngs=rngs()), X, values=(2, 4)),
    "GroupNorm, epsilon": of(lambda h: nnx.GroupNorm(8, 2, epsilon=h, rngs=rngs()), X),
    "InstanceNorm": of(lambda h: nnx.InstanceNorm(4, epsilon=h, rngs=rngs()), IMAGE),
    "attention, heads": of(
        lambda h: nnx.MultiHeadAttention(h, 8, 16, decode=False, rngs=rngs()), SEQUENCE, values=(2, 4)
    ),
    "attention, dropout": of(
        lambda h: nnx.MultiHeadAttention(2, 8, 16, dropout_rate=h, deterministic=False, decode=False, rngs=rngs()),
        SEQUENCE,
    ),
    "LSTM": of(lambda h: nnx.RNN(nnx.LSTMCell(8, h, rngs=rngs())), SEQUENCE, values=I),
    "GRU": of(lambda h: nnx.RNN(nnx.GRUCell(8, h, rngs=rngs())), SEQUENCE, values=I),
    "PReLU": of(nnx.PReLU, X),
    "LoRA": of(lambda h: nnx.LoRA(8, h, 8, rngs=rngs()), X, values=I),
    "Sequential": of(
        lambda h: nnx.Sequential(nnx.Linear(8, 8, rngs=rngs()), lambda v: v * h, nnx.Dropout(h, rngs=rngs())), X
    ),
}

MODULES = {
    "module": of(net, X),
    "module, zero": of(net, X, values=ZERO),
    "module, width": of(lambda h: Net(0.1, h, rngs=rngs()), X, values=I),
    "in containers": of(lambda h: Stored(h, rngs()), X),
    "Param of an array": of(lambda h: StoredArray(h, rngs()), X),
    "split and merge": Use(lambda h: nnx.merge(*nnx.split(net(h)))(X)),
    "state": Use(lambda h: numbers(nnx.state(net(h)))),
    "hash of the graph": Use(lambda h: X * (0 * hash(nnx.split(net(h))[0]) + 1)),
    "equal graphs": Use(
        lambda h: X if nnx.graphdef(Net(h, rngs=rngs())) == nnx.graphdef(Net(h, rngs=rngs())) else 2 * X
    ),
    "clone": Use(lambda h: nnx.clone(Net(h, rngs=rngs()))(X)),
    "jit": Use(lambda h: nnx.jit(lambda m, x: m(x))(net(h), X)),
    "jit, argument": Use(lambda h: nnx.jit(lambda m, x, a: m(x) * a)(fixed(h), X, h)),
    "scan": Use(scan_layers),
    "remat": Use(lambda h: nnx.remat(lambda m, x: m(x))(net(h), X)),
    "cond": Use(lambda h: nnx.cond(h > 0.15, lambda m, x: m(x), lambda m, x: m(x) * 2, Net(h, rngs=rngs()), X)),
    "vmap": Use(lambda h: nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(Net(0.0, gain=h, rngs=rngs()), X)),
    "fori_loop": Use(
        lambda h: nnx.fori_loop(0, 3, lambda i, c: (c[0], c[0](c[1])), (Net(0.0, gain=h, rngs=rngs()), X))[1]
    ),
    "Optimizer": optimised(fixed),
    "Optimizer, module": optimised(net),
    "Optimizer, jit": optimised(fixed, 1e-2, jit=True),
    "Optimizer, jit, module": optimised(net, 1e-2, jit=True),
    "training in a scan": Use(scan_training),
    "jax.jit of the state": Use(jit_state),
    "jax.jit of graph and state": Use(jit_graph_argument),
    "eval_shape": Use(abstract),
    "grad": Use(lambda h: nnx.grad(lambda m: m(X).sum())(Net(h, rngs=rngs()))["first"]["kernel"][...]),
    "metric": Use(metric),
    "iter_graph": Use(lambda h: X * len(list(nnx.iter_graph(Net(h, rngs=rngs()))))),
    "view": Use(lambda h: nnx.view(net(h), deterministic=True)(X)),
    "display": Use(lambda h: X * bool(str(Net(h, rngs=rngs())))),
}

USES = {f"nnx: {name}": use for name, use in {**LAYERS, **MODULES}.items()}
