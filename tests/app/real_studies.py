"""Real studies for the pictures of the app: `python tests/app/real_studies.py STORE`, a minute or two.

A conditional space, learning rates at which trials diverge, trials that ASHA stops, a second search to compare with,
and one with two objectives.
"""

from __future__ import annotations

import sys

import optax
from sklearn.datasets import load_digits

import vtune
from vtune import nn as vnn
from vtune import optim as vopt

SPACE = vtune.Space(
    lr=vtune.Float(1e-4, 1e3, log=True),
    optimizer=vtune.Choice("momentum", "adam"),
    momentum=vtune.Float(0.5, 0.99, when={"optimizer": "momentum"}),
    dropout=vtune.Float(0.0, 0.6),
    width=vtune.Int(8, 64, log=True),
    activation=vtune.Choice("relu", "gelu", "tanh"),
)


def model(hp):
    return vnn.MLP(features=hp.width, depth=2, out=10, activation=hp.activation, dropout=hp.dropout)


def optimizer(hp):
    return vopt.switch(hp.optimizer, {"momentum": optax.sgd(hp.lr, momentum=hp.momentum), "adam": optax.adam(hp.lr)})


def main(store: str) -> None:
    x, y = load_digits(return_X_y=True)
    data = ((x / 16).astype("float32"), y)
    task = vtune.Supervised(
        model, optimizer, train=data, valid=0.3, metrics=("accuracy", "n_params"), batch_size=32, name="digits"
    )
    options = {"steps": 400, "eval_every": 20, "store": store, "progress": "off", "lanes": 32, "block": 16}
    one = {"metric": "accuracy", "mode": "max", "scheduler": vtune.schedulers.ASHA(min_steps=40, reduction=3)}
    vtune.tune(task, SPACE, trials=320, proposer="random", name="digits, random", **one, **options)
    two = {"metric": ["accuracy", "n_params"], "mode": ["max", "min"]}
    vtune.tune(task, SPACE, trials=160, proposer="tpe", name="accuracy and size", **two, **options | {"steps": 200})
    vtune.tune(task, SPACE, trials=320, proposer="tpe", name="digits", **one, **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
