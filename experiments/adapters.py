"""256 low-rank adapters (Hu et al., 2021) tried on one frozen transformer, whose weights the device holds once.

A transformer learns Python from the standard library's sources; then adapters of many ranks, scales and learning rates
turn it to the prose of Python's own manual, side by side. The rank is a mask, written by hand, so that one program
trains every rank.

usage: python experiments/adapters.py [--small] [--store vtune.db]     then: vtune app vtune.db
"""

from __future__ import annotations

import argparse
from functools import partial
from pydoc_data.topics import topics

import char_transformer as text
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from rich.console import Console
from rich.table import Table

import vtune
from vtune.analysis import best_trials

TRIALS, MOST = 256, 8
BASE = {"dropout": 0.05, "lr": 5e-3, "warmup": 0.1}
SPACE = vtune.Space(
    rank=vtune.Int(1, MOST, log=True),
    alpha=vtune.Float(0.5, 32.0, log=True),
    lr=vtune.Float(1e-4, 3e-2, log=True),
    decay=vtune.Float(1e-4, 1.0, log=True),
)


class Adapted(nn.Dense):
    """A dense layer with a low-rank correction beside it, at the layer's own paths."""

    rank: float = 1
    alpha: float = 1.0

    @nn.compact
    def __call__(self, x):
        used = jnp.where(jnp.arange(MOST) < self.rank, self.alpha / self.rank, 0.0)
        low = used * nn.Dense(MOST, use_bias=False, name="down")(x)
        return super().__call__(x) + nn.Dense(
            self.features, use_bias=False, kernel_init=nn.initializers.zeros, name="up"
        )(low)


def adapted(shape):
    """Makes the frozen network with adapters in its blocks."""

    def model(hp):
        return text.Transformer(**shape, dropout=0.0, dense=partial(Adapted, rank=hp.rank, alpha=hp.alpha))

    return model


def optimizer(hp, run):
    return optax.adamw(optax.cosine_decay_schedule(hp.lr, run.steps), weight_decay=hp.decay)


def is_adapter(path) -> bool:
    return "down" in path or "up" in path


def pretrained(shape, length: int, names, steps: int, store):
    """The variables of a transformer that has learned Python, from a study of one trial."""
    varied = text.space({name: vtune.Choice(value) for name, value in shape.items()})
    task = text.language(text.sources(length, names), name="base-transformer")
    study = vtune.tune(
        task, varied, metric="bits", mode="min", trials=1, steps=steps, enqueue=[shape | BASE], store=store
    )
    return study.best_params()


def memory(whole, adapters, base) -> Table:
    """What the states of all trials take, beside what `vtune.plan` says of as many whole networks."""
    once = sum(leaf.nbytes for leaf in jax.tree.leaves(base))
    table = Table("a trial holds", "KiB each", f"MiB for {TRIALS}", caption="The frozen network is counted once.")
    for what, plan, shared in (("all weights", whole, 0), ("adapters", adapters, once)):
        each = plan.programs[0].state_bytes
        table.add_row(what, f"{each / 2**10:,.0f}", f"{(TRIALS * each + shared) / 2**20:,.1f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a glimpse: a tiny network and 8 steps a trial")
    parser.add_argument("--store", default="vtune.db", help="where everything is kept; the app opens it")
    options = parser.parse_args()
    small = options.small
    depth, width, length = (1, 16, 16) if small else (2, 64, 32)
    base_steps, steps, most = (100, 8, 160) if small else (2000, 100, 4000)
    names = text.SOURCES[-1:] if small else text.SOURCES
    shape = {"depth": depth, "width": width, "heads": 2}

    base = pretrained(shape, length, names, base_steps, options.store)
    rows = text.windows("\n".join(topics.values()), length)[:most]
    task = text.language(rows, adapted(shape), optimizer=optimizer, init=base, trainable=is_adapter, name="adapters")
    whole = text.language(rows, lambda hp: text.Transformer(**shape, dropout=0.0), optimizer=optimizer, init=base)
    how = {"block": 32, "strategy": "vmap"} if small else {}
    study = vtune.tune(
        task, SPACE, metric="bits", mode="min", trials=TRIALS, steps=steps, eval_every=steps // 4, store=options.store,
        **how,
    )  # fmt: skip
    planned = vtune.plan(whole, SPACE, trials=TRIALS, steps=steps, **how)
    Console().print(memory(planned, study.explain(), base))
    print(study.explain())
    print("\nThe best five, in bits per character of the manual:")
    print(best_trials(study.frame(), "min", 5)[["id", "bits", "train_bits", *SPACE]].to_string(index=False))


if __name__ == "__main__":
    main()
