"""Packed modules for flax.linen."""

from vtune.nn.linen.attention import MultiHeadDotProductAttention
from vtune.nn.linen.cnn import CNN
from vtune.nn.linen.convolution import Conv
from vtune.nn.linen.dense import Dense
from vtune.nn.linen.dropout import Dropout
from vtune.nn.linen.embed import Embed
from vtune.nn.linen.mlp import MLP
from vtune.nn.linen.norms import BatchNorm, LayerNorm, RMSNorm
from vtune.nn.linen.transformer import Transformer, TransformerBlock

__all__ = [
    "CNN",
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
]
