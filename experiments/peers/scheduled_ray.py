"""Ray Tune with ASHA and two workers of one core each, which keep what they have compiled."""

from __future__ import annotations

import tempfile
import time

import jax
import numpy as np
from peers import problem, structure_problem
from peers.problem import Batch
from peers.scheduled import Outcome, Settings, Trainer

WORKERS = 2


def search(settings: Settings, train: Batch, valid: Batch) -> Outcome:
    """Actors are reused; a trial reports at every rung, where the scheduler may end it."""
    began = time.time()
    import ray
    from ray import tune

    trainers: dict[str, Trainer] = {}

    class Trainable(tune.Trainable):
        def setup(self, config, settings, data):
            self.settings, self.host = settings, data
            self.reset_config(config)

        def step(self):
            if "here" not in trainers:
                trainers["here"] = Trainer(self.settings, *jax.tree.map(jax.numpy.asarray, self.host))
            if self.on is None:
                row = dict(self.config)
                self.on = trainers["here"].begin(row, row.pop("trial"))
            rung = next(rung for rung in self.settings.rungs if rung > self.done)
            score, self.done = self.on(self.done, rung - self.done), rung
            over = rung == self.settings.steps or not np.isfinite(score)
            return {"accuracy": score if np.isfinite(score) else 0.0, "steps": rung, "done": over}

        def reset_config(self, config):
            self.config, self.done, self.on = config, 0, None
            return True

    ray.init(num_cpus=WORKERS, include_dashboard=False, logging_level="error")
    try:
        asha = tune.schedulers.ASHAScheduler(
            time_attr="steps", grace_period=settings.min_steps, max_t=settings.steps,
            reduction_factor=settings.reduction,
        )  # fmt: skip
        trainable = tune.with_parameters(Trainable, settings=settings, data=jax.tree.map(np.asarray, (train, valid)))
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space=_space(settings.space),
            tune_config=tune.TuneConfig(
                metric="accuracy", mode="max", scheduler=asha, num_samples=settings.trials, reuse_actors=True,
                time_budget_s=settings.seconds,
                search_alg=tune.search.BasicVariantGenerator(random_state=settings.seed),
            ),
            run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(prefix="ray-"), verbose=0),
        )  # fmt: skip
        rows = [result.metrics for result in tuner.fit() if result.metrics and "accuracy" in result.metrics]
    finally:
        ray.shutdown()
    rows.sort(key=lambda row: row["timestamp"])
    return Outcome(
        [row["timestamp"] - began for row in rows], [row["accuracy"] for row in rows], [row["steps"] for row in rows]
    )


def _space(name: str) -> dict:
    from ray import tune

    bounds = problem.BOUNDS if name == "digits" else structure_problem.BOUNDS
    space = {
        name: tune.loguniform(low, high) if scale == "log" else tune.uniform(low, high)
        for name, (low, high, scale) in bounds.items()
    }
    if name == "nine":
        space |= {name: tune.choice(values) for name, values in structure_problem.CHOICES.items()}
    return {**space, "trial": tune.randint(0, 1_000_000)}


DRIVERS = {"Ray Tune, ASHA, 2 workers": search}
