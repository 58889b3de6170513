"""The parts of the Gaussian-process proposer: features, kernel, fit, posterior draws, candidates, choice of a batch."""
