"""Every hyperparameter of a guide to neural networks at once, on scikit-learn's digits, in a handful of programs.

Layers, width, activation, initializer, optimizer, batch size, dropout, learning rate and momentum: six of the nine
would make other tuners compile nearly every trial. Packed modules (`vtune.nn`, `vtune.optim`) train them side by side.

usage: python experiments/guide.py [--trials 1024] [--epochs 20] [--store vtune.db]     then: vtune app vtune.db
"""

from __future__ import annotations

import argparse

import numpy as np
import optax
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

import vtune
from vtune import nn, optim
from vtune.analysis import best_trials, where_to_look

SPACE = vtune.Space(
    layers=vtune.Int(1, 4),
    width=vtune.Choice(16, 32, 64, 128),
    activation=vtune.Choice("relu", "gelu", "tanh", "sigmoid"),
    initializer=vtune.Choice("glorot_uniform", "he_normal", "lecun_normal", "normal"),
    optimizer=vtune.Choice("sgd", "momentum", "nesterov", "adadelta", "adam"),
    batch=vtune.Choice(16, 32, 64, 128),
    dropout=vtune.Float(0.0, 0.5),
    lr=vtune.Float(1e-3, 1.0, log=True),
    momentum=vtune.Float(0.5, 0.99, when={"optimizer": ("momentum", "nesterov")}),
)


def model(hp):
    return nn.MLP(
        features=hp.width, depth=hp.layers, out=10,
        activation=hp.activation, kernel_init=hp.initializer, dropout=hp.dropout,
    )  # fmt: skip


def optimizer(hp):
    return optim.switch(hp.optimizer, {
        "sgd": optax.sgd(hp.lr),
        "momentum": optax.sgd(hp.lr, hp.momentum),
        "nesterov": optax.sgd(hp.lr, hp.momentum, nesterov=True),
        "adadelta": optax.adadelta(hp.lr),
        "adam": optax.adam(hp.lr),
    })  # fmt: skip


def task(train, valid):
    return vtune.Supervised(
        model, optimizer, train=train, valid=valid, metrics=("accuracy",), batch_size=lambda hp: hp.batch
    )


def importance(study):
    """How much worse a forest knows the accuracy once a hyperparameter is shuffled (Breiman, 2001), as shares."""
    frame = study.frame()
    configs = [study.trial(number).config for number in frame["id"]]
    units, accuracy = np.nan_to_num(SPACE.to_unit(configs), nan=-1.0), frame["accuracy"].fillna(0.0)
    forest = RandomForestRegressor(300, min_samples_leaf=3, oob_score=True, random_state=0).fit(units, accuracy)
    worse = permutation_importance(forest, units, accuracy, random_state=0).importances_mean
    table = pd.DataFrame({"hyperparameter": SPACE.names, "importance": worse / max(worse.sum(), 1e-12)})
    return table.sort_values("importance", ascending=False), forest.oob_score_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1024)
    parser.add_argument("--epochs", type=float, default=20)
    parser.add_argument("--store", default="vtune.db", help="where everything is kept; the app opens it")
    parser.add_argument("--name", default=None, help="of the study; the task's name and the time if left out")
    options = parser.parse_args()

    x, y = load_digits(return_X_y=True)
    digits = task(((x / 16).astype(np.float32), y.astype(np.int32)), valid=0.2)
    print(vtune.plan(digits, SPACE, trials=options.trials, epochs=options.epochs))
    study = vtune.tune(
        digits, SPACE, metric="accuracy", mode="max", trials=options.trials, epochs=options.epochs,
        store=options.store, name=options.name,
    )  # fmt: skip
    frame = study.frame()
    print("\nThe best five:")
    print(best_trials(frame, "max", 5)[["id", "accuracy", "train_accuracy", *SPACE]].to_string(index=False))
    shares, known = importance(study)
    print(f"\nWhat mattered (a forest that explains {known:.0%} of the accuracy's variance):")
    print(shares.to_string(index=False, float_format="{:.1%}".format))
    print("\nWhere to look next:")
    print(where_to_look(frame, SPACE, "max").to_string(index=False))
    print("\nHow it was trained:")
    print(study.explain())


if __name__ == "__main__":
    main()
