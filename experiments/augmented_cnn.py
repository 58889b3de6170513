"""A CNN with BatchNorm on 200 digits: how much to shift, flip and cut out of the images is tuned with the rest.

Augmentation is an ordinary function of the batch. Its strengths are traced, so that all trials share one program, and
so is the momentum of BatchNorm. The first trial is a network without augmentation, for comparison.

usage: python experiments/augmented_cnn.py [--small] [--store vtune.db]     then: vtune app vtune.db
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from sklearn.datasets import load_digits

import vtune
from vtune.analysis import best_trials

SPACE = vtune.Space(
    lr=vtune.Float(1e-3, 3e-2, log=True),
    shift=vtune.Float(0.0, 2.0, default=0.0),
    flip=vtune.Float(0.0, 0.5, default=0.0),
    cutout=vtune.Float(0.0, 5.0, default=0.0),
    momentum=vtune.Float(0.8, 0.99),
)
PLAIN = {"lr": 5e-3, "shift": 0.0, "flip": 0.0, "cutout": 0.0, "momentum": 0.9}
PIXELS = 8


class CNN(nn.Module):
    features: int
    momentum: float

    @nn.compact
    def __call__(self, x, train=False):
        for scale in (1, 2):
            x = nn.Conv(scale * self.features, (3, 3), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=self.momentum)(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        return nn.Dense(10)(x.reshape(len(x), -1))


def shifted(images, by):
    """Images `[rows, PIXELS, PIXELS, 1]` moved by fractions of pixels `[rows, 2]`, in between by linear weights."""
    places = jnp.arange(PIXELS)
    weights = jax.nn.relu(1 - jnp.abs(places[:, None] - places + by[..., None, None]))
    return jnp.einsum("nij,nkl,njlc->nikc", weights[:, 0], weights[:, 1], images)


def augment(hp, batch, key):
    """Shifts, mirrors, and blanks a square of each image (cutout: DeVries and Taylor, 2017)."""
    images, labels = batch
    shift_key, flip_key, hole_key = jax.random.split(key, 3)
    images = shifted(images, jax.random.uniform(shift_key, (len(images), 2), minval=-1.0) * hp.shift)
    mirrored = jax.random.bernoulli(flip_key, hp.flip, (len(images), 1, 1, 1))
    images = jnp.where(mirrored, images[:, :, ::-1], images)
    centres = jax.random.uniform(hole_key, (len(images), 2, 1), maxval=PIXELS - 1)
    rows, columns = jnp.moveaxis(jnp.abs(jnp.arange(PIXELS) - centres) < hp.cutout / 2, 1, 0)
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0.0, images), labels


def optimizer(hp, run):
    return optax.adam(optax.cosine_decay_schedule(hp.lr, run.steps))


def digits(train: int, features: int) -> vtune.Supervised:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    images = (x[order] / 16).astype(np.float32).reshape(-1, PIXELS, PIXELS, 1)
    return vtune.Supervised(
        lambda hp: CNN(features, hp.momentum), optimizer,
        train=(images[:train], y[order[:train]]), valid=(images[-800:], y[order[-800:]]),
        metrics="accuracy", batch_size=32, augment=augment, name="augmented-cnn",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a glimpse: 8 trials of a smaller network")
    parser.add_argument("--store", default="vtune.db", help="where everything is kept; the app opens it")
    options = parser.parse_args()
    features, trials, steps = (4, 8, 60) if options.small else (16, 64, 600)

    study = vtune.tune(
        digits(200, features), SPACE, metric="accuracy", trials=trials, steps=steps, enqueue=[PLAIN],
        store=options.store,
    )  # fmt: skip
    frame = study.frame()
    print(study.explain())
    print("\nThe best five:")
    print(best_trials(frame, "max", 5)[["id", "accuracy", "train_accuracy", *SPACE]].to_string(index=False))
    print("\nWithout augmentation:")
    print(frame[frame["origin"] == "enqueued"][["id", "accuracy", "train_accuracy", *SPACE]].to_string(index=False))
    print("\nRank correlation with the accuracy:")
    print(frame[[*SPACE]].corrwith(frame["accuracy"], method="spearman").to_string(float_format="{:+.2f}".format))


if __name__ == "__main__":
    main()
