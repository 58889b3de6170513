"""A study whose task is defined in the script: run with a folder, and the address of a cluster or "local"."""

import sys
from pathlib import Path

import jax.numpy as jnp
from executors import far

import vtune
from vtune.executors import Ray


class Own(far.Bowl):
    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.abs(state["x"] - data["middle"]).mean()}


if __name__ == "__main__":
    folder, address = Path(sys.argv[1]), sys.argv[2]
    here = address == "local"
    vtune.tune(
        Own(folder), far.SPACE, trials=40, scheduler="asha", executor="local" if here else Ray(2, address=address),
        store=folder / "vtune.db", name="local" if here else "ray", resume=True,
        **{**far.OPTIONS, "steps": 400, "eval_every": 10},
    )  # fmt: skip
