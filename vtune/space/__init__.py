"""What may vary: hyperparameters, the conditions and constraints between them, and batches of configurations."""

from vtune.space.choice import Choice
from vtune.space.parameter import Parameter
from vtune.space.ranges import Float, Int
from vtune.space.space import Space

__all__ = ["Choice", "Float", "Int", "Parameter", "Space"]
