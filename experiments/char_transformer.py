"""A small transformer that learns to write Python, character by character, from the sources that ship with Python.

Depth, width and heads change the program; the learning rate, its warm-up and dropout share it. The network is measured
in bits per character, beside what a table of letter pairs knows.

usage: python experiments/char_transformer.py [--small] [--store vtune.db]     then: vtune app vtune.db
"""

from __future__ import annotations

import argparse
import sysconfig
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import vtune
from vtune.analysis import best_trials

SOURCES = ("argparse.py", "ast.py", "dataclasses.py", "enum.py", "inspect.py", "pathlib.py", "textwrap.py")
LETTERS = 128

LARGE = {"depth": vtune.Int(1, 3), "width": vtune.Choice(32, 64), "heads": vtune.Choice(2, 4)}
SMALL = {"depth": vtune.Int(1, 2), "width": vtune.Choice(16), "heads": vtune.Choice(2)}


def space(shapes) -> vtune.Space:
    return vtune.Space(
        **shapes,
        dropout=vtune.Float(0.02, 0.3),
        lr=vtune.Float(1e-3, 3e-2, log=True),
        warmup=vtune.Float(0.02, 0.3),
    )


class Block(nn.Module):
    """Causal self-attention and a two-layer network, behind norms and around shortcuts (Vaswani et al., 2017)."""

    heads: int
    dropout: float
    dense: Callable[..., nn.Module] = nn.Dense

    @nn.compact
    def __call__(self, x, train):
        width, drop = x.shape[-1], nn.Dropout(self.dropout, deterministic=not train)
        joined = self.dense(3 * width, name="attend")(nn.LayerNorm()(x))
        query, key, value = jnp.split(joined.reshape(*x.shape[:-1], self.heads, -1), 3, axis=-1)
        mixed = jax.nn.dot_product_attention(query, key, value, is_causal=True).reshape(x.shape)
        x = x + drop(self.dense(width, name="join")(mixed))
        hidden = nn.gelu(self.dense(4 * width, name="widen")(nn.LayerNorm()(x)))
        return x + drop(self.dense(width, name="narrow")(hidden))


class Transformer(nn.Module):
    depth: int
    width: int
    heads: int
    dropout: float
    dense: Callable[..., nn.Module] = nn.Dense

    @nn.compact
    def __call__(self, letters, train=False):
        place = self.param("place", nn.initializers.normal(0.02), (letters.shape[-1], self.width))
        x = nn.Embed(LETTERS, self.width)(letters) + place
        for number in range(self.depth):
            x = Block(self.heads, self.dropout, self.dense, name=f"block{number}")(x, train)
        return nn.Dense(LETTERS, name="head")(nn.LayerNorm()(x))


def model(hp):
    return Transformer(hp.depth, hp.width, hp.heads, hp.dropout)


def optimizer(hp, run):
    schedule = optax.warmup_cosine_decay_schedule(0.0, hp.lr, hp.warmup * run.steps, run.steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))


def windows(text: str, length: int) -> np.ndarray:
    """Text as ASCII codes, cut into windows that share their last letter with the next, uint8 [rows, length + 1]."""
    letters = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    return np.lib.stride_tricks.sliding_window_view(letters, length + 1)[::length].copy()


def sources(length: int, names=SOURCES) -> np.ndarray:
    folder = Path(sysconfig.get_path("stdlib"))
    return windows("".join((folder / name).read_text(encoding="utf-8") for name in names), length)


def bits(outputs, batch):
    """Bits per character, one value a row."""
    return optax.softmax_cross_entropy_with_integer_labels(outputs, batch[1]).mean(-1) / jnp.log(2.0)


def bits_of_pairs(train: np.ndarray, valid: np.ndarray) -> float:
    """Bits per character of a table that knows how often each letter follows each other."""
    counts = np.ones((LETTERS, LETTERS))
    np.add.at(counts, (train[:, :-1], train[:, 1:]), 1)
    return float(-np.log2(counts / counts.sum(1, keepdims=True))[valid[:, :-1], valid[:, 1:]].mean())


def language(rows: np.ndarray, make=model, **options) -> vtune.Supervised:
    """The task of guessing the next letter."""
    return vtune.Supervised(
        make, options.pop("optimizer", optimizer), train=rows, valid=0.1, batch_size=16, metrics={"bits": bits},
        prepare=lambda batch: (batch[:, :-1].astype(jnp.int32), batch[:, 1:].astype(jnp.int32)), **options,
    )  # fmt: skip


def written(network, variables, prompt: str, length: int, key) -> str:
    """How a network goes on from a prompt of a whole window."""

    @partial(jax.jit, static_argnums=1)
    def write(window, count, key):
        def one(window, key):
            letter = jax.random.categorical(key, network.apply(variables, window[None])[0, -1])
            return jnp.append(window[1:], letter), letter

        return jax.lax.scan(one, window, jax.random.split(key, count))[1]

    window = jnp.asarray(np.frombuffer(prompt.encode(), np.uint8), jnp.int32)
    return bytes(np.asarray(write(window, length, key), np.uint8)).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a glimpse: 8 trials of two shapes")
    parser.add_argument("--store", default="vtune.db", help="where everything is kept; the app opens it")
    options = parser.parse_args()
    small = options.small
    shapes, names, length, trials, steps = (SMALL, SOURCES[-1:], 16, 8, 100) if small else (LARGE, SOURCES, 64, 36, 300)

    rows, varied = sources(length, names), space(shapes)
    task = language(rows, name="char-transformer")
    study = vtune.tune(task, varied, metric="bits", trials=trials, steps=steps, mode="min", store=options.store)
    print(study.explain())
    print("\nThe best five, in bits per character:")
    print(best_trials(study.frame(), "min", 5)[["id", "bits", "train_bits", *varied]].to_string(index=False))
    print(f"\nA table of letter pairs: {bits_of_pairs(task.data['train'], task.data['valid']):.3f} bits per character")
    network = model(SimpleNamespace(**study.best.config))
    prompt = bytes(rows[0, :length]).decode()
    print("\nWhat the best network writes:\n")
    print(prompt + written(network, study.best_params(), prompt, 300, jax.random.key(0)))


if __name__ == "__main__":
    main()
