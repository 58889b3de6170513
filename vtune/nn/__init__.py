"""Neural networks whose structure may be a hyperparameter: all of a sweep in one program.

The modules are those of flax.linen; `vtune.nn.nnx` has those of flax.nnx. Given plain numbers and names they are
ordinary layers with ordinary shapes. Given a hyperparameter they are *packed*: as large as the largest trial of the
program, with everything beyond a trial's own size masked, so that it trains exactly like the small network.

Example:
  >>> import optax, vtune
  >>> from vtune import nn as vnn
  >>> space = vtune.Space(width=vtune.Int(4, 16), depth=vtune.Int(1, 3), act=vtune.Choice("relu", "tanh"))
  >>> def model(hp):
  ...     return vnn.MLP(features=hp.width, depth=hp.depth, out=2, activation=hp.act)
"""

from vtune.nn.activations import ACTIVATIONS, activation
from vtune.nn.initializers import INITIALIZERS, initializer
from vtune.nn.linen import (
    CNN,
    MLP,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Embed,
    LayerNorm,
    MultiHeadDotProductAttention,
    RMSNorm,
    Transformer,
    TransformerBlock,
)

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "INITIALIZERS",
    "MLP",
    "BatchNorm",
    "Conv",
    "Dense",
    "Dropout",
    "Embed",
    "LayerNorm",
    "MultiHeadDotProductAttention",
    "RMSNorm",
    "Transformer",
    "TransformerBlock",
    "activation",
    "initializer",
]
