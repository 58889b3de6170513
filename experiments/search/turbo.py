"""TuRBO-1 (Eriksson et al., 2019) on BoTorch: Thompson sampling inside one trust region, over the filled flat space."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import gpytorch
import numpy as np
import torch
from botorch.exceptions import BotorchWarning, ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.generation import MaxPosteriorSampling
from botorch.models import SingleTaskGP
from gpytorch.constraints import Interval
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.errors import NotPSDError
from search.peers import Config, Flat
from torch.quasirandom import SobolEngine

from vtune.space import Space

LONGEST, FIRST, SHORTEST = 1.6, 0.8, 0.5**7
"""Sides of the trust region."""

SUCCESSES = 10
"""Successes in a row after which it grows, as in BoTorch's tutorial."""

NOISE = 1e-8, 1e-1
"""Bounds of the noise variance; wider than the tutorial's, since some problems are noisy."""


class TuRBO(Flat):
    """One trust region, which starts anew once it has shrunk away.

    Args:
      space: where the configurations lie.
      seed: of all draws.
    """

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space)
        warnings.simplefilter("ignore", BotorchWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.seed, self.draws = seed, 0
        self.restart()

    def restart(self) -> None:
        """Forgets all: a new design over the whole cube."""
        self.side, self.successes, self.failures, self.best = FIRST, 0, 0, math.inf
        self.x, self.y = np.empty((0, self.space.dim)), np.empty(0)
        self.design = SobolEngine(self.space.dim, scramble=True, seed=self._next())

    def propose(self, n: int) -> np.ndarray:
        if len(self.y) < 2 * self.space.dim or self.y.std() == 0.0:
            return self.design.draw(n).numpy().astype(np.float64)
        x = torch.as_tensor(self.x)
        y = torch.as_tensor(-(self.y - self.y.mean()) / self.y.std())[:, None]
        model = self._fitted(x, y)
        candidates = self._candidates(model, x[y.argmax()])
        with torch.no_grad(), gpytorch.settings.max_cholesky_size(10**6):
            chosen = MaxPosteriorSampling(model=model, replacement=False)(candidates, num_samples=n)
        return chosen.numpy()

    def learn(self, rows: np.ndarray, scores: np.ndarray) -> None:
        snapped = self.space.snap(rows)
        begun = len(self.y) >= 2 * self.space.dim
        self.x = np.concatenate([self.x, np.where(np.isnan(snapped), rows, snapped)])
        self.y = np.concatenate([self.y, scores])
        if begun:
            self._resize(scores.min(), len(rows))
        self.best = min(self.best, scores.min())
        if self.side < SHORTEST:
            self.restart()

    def teach(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        self.learn(np.nan_to_num(self.space.to_unit(configs), nan=0.5), scores)

    def _resize(self, reached: float, batch: int) -> None:
        if reached < self.best - 1e-3 * abs(self.best):
            self.successes, self.failures = self.successes + 1, 0
        else:
            self.successes, self.failures = 0, self.failures + 1
        if self.successes == SUCCESSES:
            self.side, self.successes = min(2.0 * self.side, LONGEST), 0
        elif self.failures == math.ceil(max(4.0 / batch, self.space.dim / batch)):
            self.side, self.failures = self.side / 2.0, 0

    def _fitted(self, x: torch.Tensor, y: torch.Tensor) -> SingleTaskGP:
        kernel = MaternKernel(nu=2.5, ard_num_dims=self.space.dim, lengthscale_constraint=Interval(0.005, 4.0))
        likelihood = GaussianLikelihood(noise_constraint=Interval(*NOISE))
        model = SingleTaskGP(x, y, covar_module=ScaleKernel(kernel), likelihood=likelihood, outcome_transform=None)
        with gpytorch.settings.max_cholesky_size(10**6):
            try:
                fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            except (ModelFittingError, NotPSDError):
                model.eval()
        return model

    def _candidates(self, model: SingleTaskGP, centre: torch.Tensor) -> torch.Tensor:
        dim = self.space.dim
        scales = model.covar_module.base_kernel.lengthscale.detach().reshape(-1)
        weights = scales / scales.mean()
        weights = weights / weights.prod().pow(1.0 / dim)
        low = torch.clamp(centre - 0.5 * self.side * weights, 0.0, 1.0)
        high = torch.clamp(centre + 0.5 * self.side * weights, 0.0, 1.0)
        count = min(5000, max(2000, 200 * dim))
        drawn = SobolEngine(dim, scramble=True, seed=self._next()).draw(count).to(centre)
        moved = torch.rand(count, dim) <= min(20.0 / dim, 1.0)
        still = torch.where(~moved.any(dim=1))[0]
        moved[still, torch.randint(0, dim, (len(still),))] = True
        return torch.where(moved, low + (high - low) * drawn, centre)

    def _next(self) -> int:
        self.draws += 1
        return 1_000 * self.seed + self.draws
