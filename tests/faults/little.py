"""A task as little as can be, and studies of it, for tests that interrupt and resume them many times."""

from __future__ import annotations

import os
import signal

import pytest
from faults.kills import Wandering

import vtune
from vtune.engine.lanes import Block

SPACE = vtune.Space(lr=vtune.Float(0.05, 1.0, log=True), noise=vtune.Float(0.0, 0.05))
OPTIONS = {"trials": 18, "steps": 12, "eval_every": 3, "block": 4, "lanes": 8, "seed": 3, "progress": "off", "keep": 1}


class Little(Wandering):
    """One program; what it says of itself is compared on resume."""

    name = "little"

    def __init__(self, size=3):
        self._size = size

    def describe(self):
        return {"size": self._size}

    def init(self, hp, data, key):
        return super().init(vtune.hyper.PlainHP({"shape": "round"}), data, key)


def study(given=None, space=SPACE, **options):
    """Tunes a little task."""
    return vtune.tune(given or Little(), space, **{**OPTIONS, **options})


def curves(of):
    """All measurements, by trial and step."""
    return of.curves().sort_values(["trial", "step"]).set_index(["trial", "step"])


def interrupted(monkeypatch, after, **options):
    """Runs a study that gets Ctrl-C after so many chunks."""
    advance, count = Block.advance, [0]

    def counted(block, steps):
        chunk = advance(block, steps)
        count[0] += 1
        if count[0] == after:
            os.kill(os.getpid(), signal.SIGINT)
        return chunk

    with monkeypatch.context() as patches:
        patches.setattr(Block, "advance", counted)
        with pytest.raises(vtune.errors.Interrupted):
            study(**options)
