"""Studies of one process, whose number of devices is set by its environment; prints their curves as JSON."""

from __future__ import annotations

import json
import sys

import jax
import numpy as np
import optax
from flax import linen as nn

import vtune
from vtune.engine.program import Traced

COLLECTIVES = (
    "all-gather", "all-reduce", "all-to-all", "collective-permute", "collective-broadcast", "reduce-scatter", "send(",
    "recv(",
)  # fmt: skip


class Network(nn.Module):
    dropout: object

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Dense(8)(x))
        return nn.Dense(2)(nn.Dropout(self.dropout, deterministic=not train)(x))


def task() -> vtune.Supervised:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 4)).astype(np.float32)
    return vtune.Supervised(
        lambda hp: Network(hp.dropout), lambda hp: optax.adam(hp.lr), train=(x, (x[:, 0] > 0).astype(np.int32)),
        valid=0.25, batch_size=8,
    )  # fmt: skip


SPACE = vtune.Space(lr=vtune.Float(1e-3, 1e-1, log=True), dropout=vtune.Float(0.1, 0.5))
STUDIES = {
    "every trial in full": {"trials": 27, "lanes": 22},
    "pbt": {"trials": 16, "lanes": 16, "scheduler": vtune.schedulers.PBT(interval=4)},
    "seeds": {"trials": 6, "lanes": 24, "seeds": 3},
}


def main() -> None:
    compile, texts = Traced.compile, []

    def noted(traced):
        program = compile(traced)
        texts.append(program.executable.as_text())
        return program

    Traced.compile = noted
    found = {}
    for name, options in STUDIES.items():
        study = vtune.tune(
            task(), SPACE, steps=12, eval_every=2, strategy="vmap", cache=False, progress="off", **options
        )
        curves = study.curves().sort_values(["trial", "step"])
        explained = study.explain()
        found[name] = {
            "trial": curves["trial"].tolist(),
            "step": curves["step"].tolist(),
            "loss": curves["loss"].tolist(),
            "lanes": explained.lanes,
        }
    collectives = sorted({word for text in texts for word in COLLECTIVES if word in text})
    print(json.dumps({"devices": jax.local_device_count(), "studies": found, "collectives": collectives}))


if __name__ == "__main__":
    sys.exit(main())
