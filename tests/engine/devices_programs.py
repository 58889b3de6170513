"""Compiles programs for the devices of this process; prints what their compiled text holds as JSON."""

from __future__ import annotations

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from devices_study import COLLECTIVES
from flax import linen as nn
from jax.sharding import NamedSharding

import vtune
from vtune.engine import sharding
from vtune.engine.program import trace
from vtune.engine.strategy import Strategy

SPACE = vtune.Space(lr=vtune.Float(1e-3, 1e-1), dropout=vtune.Float(0.1, 0.5))
CONFIG = {"lr": 0.01, "dropout": 0.2}


class Network(nn.Module):
    dropout: object
    convolves: bool = False
    dtype: object = None

    @nn.compact
    def __call__(self, x, train=False):
        if self.convolves:
            x = nn.Conv(4, (3, 3), dtype=self.dtype)(x.reshape(-1, 2, 2, 1))
            x = nn.BatchNorm(use_running_average=not train, dtype=self.dtype)(x).reshape(x.shape[0], -1)
        x = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(nn.Dense(8, dtype=self.dtype)(x)))
        return nn.Dense(2, dtype=self.dtype)(x)


def compiled(strategy, **options):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 4)).astype(np.float32)
    task = vtune.Supervised(
        lambda hp: Network(hp.dropout, **options), lambda hp: optax.adam(hp.lr),
        train=(x, (x[:, 0] > 0).astype(np.int32)), batch_size=8,
    )  # fmt: skip
    return trace(task, SPACE, CONFIG, task.data, strategy, "pcg").compile().executable.as_text()


def told(text, devices):
    collectives = [word for word in COLLECTIVES if word in text]
    return {"devices": devices, "loops": text.count(" while("), "collectives": collectives}


def main() -> None:
    devices = jax.local_device_count()
    lanes = 2 * devices
    programs = {
        "mlp, vmapped": (Strategy(lanes, "vmap", "direct", devices), {}),
        "mlp, one after another": (Strategy(lanes, "map", "direct", devices), {}),
        "cnn, patches": (Strategy(lanes, "vmap", "patches", devices), {"convolves": True}),
        "cnn, direct": (Strategy(lanes, "vmap", "direct", devices), {"convolves": True}),
        "cnn of halves": (Strategy(lanes, "vmap", "direct", devices), {"convolves": True, "dtype": jnp.bfloat16}),
    }
    found = {name: told(compiled(strategy, **options), devices) for name, (strategy, options) in programs.items()}
    divided = NamedSharding(sharding.mesh(devices), sharding.LANES)
    summed = jax.jit(jnp.sum, in_shardings=divided).lower(jax.ShapeDtypeStruct((lanes,), "float32")).compile()
    found["a sum over lanes"] = told(summed.as_text(), devices)
    print(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main())
