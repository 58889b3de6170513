"""Hyperparameters that stay tracers until Python needs their value, and the guards that record where it did."""

from vtune.hyper.config import HP, PlainHP
from vtune.hyper.guards import Guard, matches, outcomes, refuse_pins
from vtune.hyper.ladder import trace_with_ladder
from vtune.hyper.layout import Columns, Layout
from vtune.hyper.packed import (
    Size,
    choice_index,
    choice_values,
    chosen,
    keep_choice,
    packed_at_least,
    packed_bound,
    packed_size,
)
from vtune.hyper.packing import Packing, whole_values
from vtune.hyper.residents import resident
from vtune.hyper.scalar import Hyper, StaleHyperError, plain
from vtune.hyper.session import Demotion, Session
from vtune.hyper.text import HyperStr

__all__ = [
    "HP",
    "Columns",
    "Demotion",
    "Guard",
    "Hyper",
    "HyperStr",
    "Layout",
    "Packing",
    "PlainHP",
    "Session",
    "Size",
    "StaleHyperError",
    "choice_index",
    "choice_values",
    "chosen",
    "keep_choice",
    "matches",
    "outcomes",
    "packed_at_least",
    "packed_bound",
    "packed_size",
    "plain",
    "refuse_pins",
    "resident",
    "trace_with_ladder",
    "whole_values",
]
