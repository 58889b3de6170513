"""The networks of the shared cases in flax.linen: packed ones of vtune, and small ones without it."""

from __future__ import annotations

from typing import Any

from flax import linen

from vtune import nn as vnn

INITIALIZERS = {
    "he_normal": linen.initializers.he_normal(),
    "lecun_normal": linen.initializers.lecun_normal(),
    "glorot_uniform": linen.initializers.glorot_uniform(),
    "orthogonal": linen.initializers.orthogonal(),
}
NORMS = {"layer": linen.LayerNorm, "rms": linen.RMSNorm, "batch": linen.BatchNorm}


class PlainMLP(linen.Module):
    """What `vnn.MLP` must equal, written as one writes it by hand."""

    features: int
    depth: int
    out: int | None = None
    activation: str = "relu"
    dropout: float = 0.0
    norm: str | None = None
    residual: bool = False
    kernel_init: str = "lecun_normal"

    @linen.compact
    def __call__(self, x, train=False):
        init = INITIALIZERS[self.kernel_init]
        for at in range(self.depth):
            y = linen.Dense(self.features, kernel_init=init, name=f"hidden_{at}")(x)
            if self.norm in NORMS:
                options = {"use_running_average": not train} if self.norm == "batch" else {}
                y = NORMS[self.norm](name=f"norm_{at}", **options)(y)
            y = getattr(linen, self.activation)(y)
            y = linen.Dropout(self.dropout, deterministic=not train, name=f"dropout_{at}")(y)
            x = x + y if self.residual and at else y
        return x if self.out is None else linen.Dense(self.out, kernel_init=init, name="out")(x)


class PackedLayers(linen.Module):
    """Layers that are not told their inputs, in a network of the user's own."""

    width: Any
    rate: Any
    layers: Any = vnn

    @linen.compact
    def __call__(self, x, train=False):
        layers = self.layers
        x = layers.Dense(self.width, use_bias=False)(x)
        x = layers.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = layers.Dropout(self.rate)(linen.sigmoid(x), deterministic=not train)
        x = x + layers.Dense(self.width)(layers.LayerNorm()(x))
        x = layers.Dense(2 * self.width)(layers.RMSNorm()(x))
        return layers.Dense(3)(linen.softplus(x))


def mlp(cls):
    return lambda hp: cls(out=3, **{name: hp[name] for name in hp if name != "lr"})


PACKED = {"mlp": mlp(vnn.MLP), "layers": lambda hp: PackedLayers(hp.width, hp.rate)}
PLAIN = {"mlp": mlp(PlainMLP), "layers": lambda hp: PackedLayers(hp.width, hp.rate, linen)}
"""Case -> model(hp), as `Supervised` takes it."""
