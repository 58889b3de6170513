"""Optimizers and learning-rate schedules that a hyperparameter chooses by name, in one program for all of them."""

from vtune.optim.padding import check_padding, padded_leaves
from vtune.optim.schedules import constant, cosine, exponential, one_cycle, schedule, warmup_cosine
from vtune.optim.switch import SwitchState, switch

__all__ = [
    "SwitchState",
    "check_padding",
    "constant",
    "cosine",
    "exponential",
    "one_cycle",
    "padded_leaves",
    "schedule",
    "switch",
    "warmup_cosine",
]
