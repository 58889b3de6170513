"""Packed modules for flax.nnx: what `vtune.nn` has for flax.linen, with input sizes and `rngs=` as nnx takes them.

Modules are the layers of `flax.nnx` with the same names, params, options and streams of keys. Sizes may be
hyperparameters; initializers are what `vtune.nn.initializer` takes.

Example:
  >>> import vtune
  >>> from vtune.nn import nnx as vnnx
  >>> space = vtune.Space(width=vtune.Int(4, 16), depth=vtune.Int(1, 3), act=vtune.Choice("relu", "tanh"))
  >>> def model(hp, rngs):
  ...     return vnnx.MLP(5, features=hp.width, depth=hp.depth, out=2, activation=hp.act, rngs=rngs)
"""

from vtune.nn.nnx.attention import MultiHeadAttention
from vtune.nn.nnx.cnn import CNN
from vtune.nn.nnx.convolution import Conv
from vtune.nn.nnx.dropout import Dropout
from vtune.nn.nnx.embed import Embed
from vtune.nn.nnx.linear import Linear
from vtune.nn.nnx.mlp import MLP
from vtune.nn.nnx.norms import BatchNorm, LayerNorm, RMSNorm
from vtune.nn.nnx.transformer import Transformer, TransformerBlock

__all__ = [
    "CNN",
    "MLP",
    "BatchNorm",
    "Conv",
    "Dropout",
    "Embed",
    "LayerNorm",
    "Linear",
    "MultiHeadAttention",
    "RMSNorm",
    "Transformer",
    "TransformerBlock",
]
