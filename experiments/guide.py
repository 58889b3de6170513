"""Every hyperparameter of a guide to neural networks at once, on scikit-learn's digits, in a handful of programs.

Layers, width, activation, initializer, optimizer, batch size, dropout, learning rate and momentum: six of the nine
would make other tuners compile nearly every trial. Packed modules (`vtune.nn`, `vtune.optim`) train them side by side.

usage: python experiments/guide.py [--trials 1024] [--epochs 20] [--store vtune.db]     then: vtune app vtune.db
       python experiments/guide.py --compare 10 [--trials 64] [--epochs 10] [--out FILE]
       manual, grid, random and Bayesian search with as many trials each, from 10 seeds; --compare 1 --trials 8
       --epochs 0.5 is a glimpse
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import optax
import pandas as pd
from guide_searches import compare, table
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

import vtune
from vtune import nn, optim
from vtune.analysis import best_trials, where_to_look

RESULTS = Path(__file__).parent / "results"

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


def task(train, valid, test=None):
    return vtune.Supervised(
        model, optimizer, train=train, valid=valid, test=test, metrics=("accuracy",), batch_size=lambda hp: hp.batch
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
    parser.add_argument("--trials", type=int, default=None, help="1,024; 64 for each search that is compared")
    parser.add_argument("--epochs", type=float, default=None, help="20; 10 where searches are compared")
    parser.add_argument("--compare", type=int, default=0, metavar="SEEDS", help="compare searches from so many seeds")
    parser.add_argument("--out", type=Path, default=RESULTS / "guide.json", help="where a comparison is written")
    parser.add_argument("--store", default="vtune.db", help="where everything is kept; the app opens it")
    parser.add_argument("--name", default=None, help="of the study; the task's name and the time if left out")
    options = parser.parse_args()

    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype(np.float32), y.astype(np.int32)
    if options.compare:
        seen = task((x[:-360], y[:-360]), valid=0.2, test=(x[-360:], y[-360:]))
        trials, epochs = options.trials or 64, options.epochs or 10
        print(table(compare(seen, SPACE, trials=trials, epochs=epochs, seeds=options.compare, out=options.out)))
        return
    digits, trials, epochs = task((x, y), valid=0.2), options.trials or 1024, options.epochs or 20
    print(vtune.plan(digits, SPACE, trials=trials, epochs=epochs))
    study = vtune.tune(
        digits, SPACE, metric="accuracy", mode="max", trials=trials, epochs=epochs, store=options.store,
        name=options.name,
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
