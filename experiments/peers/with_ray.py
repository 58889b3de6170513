"""Ray Tune with two workers of one core each; a worker compiles the whole run once and keeps it."""

from __future__ import annotations

import tempfile

import jax
import numpy as np
from peers import problem
from peers.problem import Batch, Settings

WORKERS = 2


def search(settings: Settings, train: Batch, valid: Batch) -> list[float]:
    """A trainable whose actors are reused, so that only the first trial of each worker compiles."""
    import ray
    from ray import tune

    class Trainable(tune.Trainable):
        def setup(self, config, settings, data):
            self.run = jax.jit(problem.whole_run(settings))
            self.data = jax.tree.map(jax.numpy.asarray, data)
            self.reset_config(config)

        def step(self):
            hp = {name: self.config["row"][name] for name in problem.BOUNDS}
            scores = self.run(hp, jax.random.key(self.config["row"]["trial"]), *self.data)
            return {"accuracy": float(scores[-1, 0]), "done": True}

        def reset_config(self, config):
            self.config = config
            return True

    ray.init(num_cpus=WORKERS, include_dashboard=False, logging_level="error")
    try:
        table = [{**hp, "trial": i} for i, hp in enumerate(problem.configs(settings.trials))]
        trainable = tune.with_parameters(Trainable, settings=settings, data=jax.tree.map(np.asarray, (train, valid)))
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"row": tune.grid_search(table)},
            tune_config=tune.TuneConfig(metric="accuracy", mode="max", reuse_actors=True),
            run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(prefix="ray-"), verbose=0),
        )
        return [result.metrics["accuracy"] for result in tuner.fit()]
    finally:
        ray.shutdown()


DRIVERS = {"Ray Tune, 2 workers": search}
