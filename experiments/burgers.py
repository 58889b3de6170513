"""A physics-informed network (Raissi et al., 2019) for Burgers' equation: how much its parts of the loss should weigh.

The network is to fulfil u_t + u u_x = v u_xx without having seen a solution. How much the initial and the boundary
values weigh beside the equation decides whether it does; the weights are traced hyperparameters. What it finds is
compared with the exact solution (Cole, 1951; Hopf, 1950).

usage: python experiments/burgers.py [--small] [--store vtune.db]     then: vtune app vtune.db
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import vtune
from vtune.analysis import best_trials, where_to_look

VISCOSITY = 0.05
SPACE = vtune.Space(
    lr=vtune.Float(1e-3, 3e-2, log=True),
    initial=vtune.Float(0.1, 100.0, log=True),
    boundary=vtune.Float(0.1, 100.0, log=True),
    scale=vtune.Float(0.5, 3.0),
)
EQUAL = {"lr": 5e-3, "initial": 1.0, "boundary": 1.0, "scale": 1.0}


def exact(t, x):
    """The solution from u(0, x) = -sin(pi x), by the transform of Cole and Hopf and Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite.hermgauss(64)
    y = x[..., None] - np.sqrt(4 * VISCOSITY * t)[..., None] * nodes
    heat = weights * np.exp(-np.cos(np.pi * y) / (2 * np.pi * VISCOSITY))
    return -(np.sin(np.pi * y) * heat).sum(-1) / heat.sum(-1)


class Field(nn.Module):
    width: int
    scale: float

    @nn.compact
    def __call__(self, t, x):
        hidden = jnp.stack([t, x]) * self.scale
        for _ in range(3):
            hidden = nn.tanh(nn.Dense(self.width)(hidden))
        return nn.Dense(1)(hidden)[0]


class Burgers:
    """The task. Every step draws new points in time and space; `data` is a grid with the exact solution."""

    name = "burgers"

    def __init__(self, width: int = 32, points: int = 256):
        t, x = np.meshgrid(np.linspace(0, 1, 21), np.linspace(-1, 1, 41), indexing="ij")
        grid = {"t": t.ravel(), "x": x.ravel(), "u": exact(t, x).ravel()}
        self.data = {name: values.astype(np.float32) for name, values in grid.items()}
        self.width, self.points, self.run = width, points, None

    def for_run(self, run):
        task = Burgers(self.width, self.points)
        task.run = run
        return task

    def describe(self):
        return {"width": self.width, "points": self.points, "viscosity": VISCOSITY}

    def optimizer(self, hp):
        return optax.adam(optax.cosine_decay_schedule(hp.lr, self.run.steps))

    def init(self, hp, data, key):
        params = Field(self.width, hp.scale).init(key, 0.0, 0.0)
        return {"params": params, "opt": self.optimizer(hp).init(params)}

    def losses(self, hp, params, key):
        """Mean squares of what is left of the equation, of the initial and of the boundary values."""

        def u(t, x):
            return Field(self.width, hp.scale).apply(params, t, x)

        def residual(t, x):
            value, u_t = jax.jvp(lambda t: u(t, x), (t,), (1.0,))
            u_x, u_xx = jax.jvp(lambda x: jax.jvp(lambda x: u(t, x), (x,), (1.0,))[1], (x,), (1.0,))
            return u_t + value * u_x - VISCOSITY * u_xx

        t_key, x_key = jax.random.split(key)
        t = jax.random.uniform(t_key, (self.points,))
        x = jax.random.uniform(x_key, (self.points,), minval=-1.0)
        few = self.points // 4
        begin = jax.vmap(u)(jnp.zeros(few), x[:few]) + jnp.sin(jnp.pi * x[:few])
        walls = jax.vmap(u)(t[:few], jnp.where(jnp.arange(few) % 2, 1.0, -1.0))
        parts = {"equation": jax.vmap(residual)(t, x), "initial": begin, "boundary": walls}
        return {f"{name}_loss": jnp.square(values).mean() for name, values in parts.items()}

    def step(self, hp, state, data, key):
        def loss(params):
            each = self.losses(hp, params, key)
            return each["equation_loss"] + hp.initial * each["initial_loss"] + hp.boundary * each["boundary_loss"], each

        gradients, each = jax.grad(loss, has_aux=True)(state["params"])
        updates, opt = self.optimizer(hp).update(gradients, state["opt"])
        return {"params": optax.apply_updates(state["params"], updates), "opt": opt}, each

    def evaluate(self, hp, state, data, key):
        """The error beside the exact solution, as a share of it."""
        found = jax.vmap(lambda t, x: Field(self.width, hp.scale).apply(state["params"], t, x))(data["t"], data["x"])
        return {"error": jnp.linalg.norm(found - data["u"]) / jnp.linalg.norm(data["u"])}

    def variables(self, hp, state, data):
        return state["params"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a glimpse: 8 trials of a small network")
    parser.add_argument("--store", default="vtune.db", help="where everything is kept; the app opens it")
    options = parser.parse_args()
    task, trials, steps = (Burgers(16, 64), 8, 300) if options.small else (Burgers(), 64, 2000)

    study = vtune.tune(
        task, SPACE, metric="error", mode="min", trials=trials, steps=steps, enqueue=[EQUAL], store=options.store
    )
    frame = study.frame()
    columns = ["id", "error", "equation_loss", *SPACE]
    print(study.explain())
    print("\nThe best five:")
    print(best_trials(frame, "min", 5)[columns].to_string(index=False))
    print("\nWith weights of 1:")
    print(frame[frame["origin"] == "enqueued"][columns].to_string(index=False))
    print("\nWhere to look next:")
    print(where_to_look(frame, SPACE, "min").to_string(index=False))


if __name__ == "__main__":
    main()
