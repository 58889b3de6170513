"""What may vary: hyperparameters, the conditions and constraints between them, and batches of configurations."""

from vtune.space.parameters import Choice, Float, Int, Parameter
from vtune.space.space import Space

__all__ = ["Choice", "Float", "Int", "Parameter", "Space"]
