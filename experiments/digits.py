"""The main job: 256 networks trained on scikit-learn's digits as one array program, to find out which settings work.

The model and the optimizer are plain Flax and Optax, and nothing in them says which hyperparameter may vary inside a
compiled program: vtune finds out. Width and activation change the program, so each combination has its own; trials that
differ in learning rate, weight decay, dropout, warmup or the length of the schedule train side by side in one.

usage: python experiments/digits.py [--trials 256] [--steps 500] [--store vtune.db]     then: vtune app vtune.db
"""

from __future__ import annotations

import argparse

import flax.linen as nn
import numpy as np
import optax
from sklearn.datasets import load_digits

import vtune
from vtune.analysis import best_trials, where_to_look

ACTIVATIONS = {"relu": nn.relu, "gelu": nn.gelu}

SPACE = vtune.Space(
    lr=vtune.Float(1e-4, 1e-1, log=True),
    weight_decay=vtune.Float(1e-6, 1e-1, log=True),
    dropout=vtune.Float(0.05, 0.5),
    warmup=vtune.Float(0.01, 0.3),
    length=vtune.Float(0.5, 1.0),
    width=vtune.Choice(32, 64),
    activation=vtune.Choice(*ACTIVATIONS),
)


class MLP(nn.Module):
    """Two hidden layers with dropout, as anyone would write them."""

    width: int
    activation: str
    dropout: float

    @nn.compact
    def __call__(self, x, train: bool):
        for _ in range(2):
            x = ACTIVATIONS[self.activation](nn.Dense(self.width)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(10)(x)


def model(hp):
    return MLP(hp.width, hp.activation, hp.dropout)


def optimizer(hp, run):
    warmup, length = hp.warmup * run.steps, hp.length * run.steps
    schedule = optax.warmup_cosine_decay_schedule(0.0, hp.lr, warmup, length)
    return optax.adamw(schedule, weight_decay=hp.weight_decay)


def digits() -> vtune.Supervised:
    x, y = load_digits(return_X_y=True)
    data = (x / 16).astype(np.float32), y.astype(np.int32)
    return vtune.Supervised(model, optimizer, train=data, valid=0.2, metrics=("accuracy",), batch_size=64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--store", default="vtune.db", help="where everything is kept; the app opens it")
    parser.add_argument("--name", default=None, help="of the study; the task's name and the time if left out")
    options = parser.parse_args()

    task = digits()
    print(vtune.plan(task, SPACE, trials=options.trials, steps=options.steps))
    study = vtune.tune(
        task, SPACE, metric="accuracy", mode="max", trials=options.trials, steps=options.steps,
        store=options.store, name=options.name,
    )  # fmt: skip
    frame = study.frame()
    print("\nThe best five:")
    print(best_trials(frame, "max", 5)[["id", "accuracy", "train_accuracy", *SPACE]].to_string(index=False))
    print("\nWhere to look next:")
    print(where_to_look(frame, SPACE, "max").to_string(index=False))


if __name__ == "__main__":
    main()
