"""The networks of the shared cases in flax.nnx: packed ones of vtune, and small ones without it."""

from __future__ import annotations

from flax import nnx
from nn.shell_linen import INITIALIZERS

from vtune.nn import nnx as vnnx

NORMS = {"layer": nnx.LayerNorm, "rms": nnx.RMSNorm, "batch": nnx.BatchNorm}


class PlainMLP(nnx.Module):
    """What `vnnx.MLP` must equal, written by hand; keys are drawn in its order."""

    def __init__(
        self,
        inputs,
        *,
        features,
        depth,
        out,
        activation="relu",
        dropout=0.0,
        norm=None,
        residual=False,
        kernel_init="lecun_normal",
        rngs,
    ):
        rngs, init = rngs.fork(), INITIALIZERS[kernel_init]
        self.out = nnx.Linear(features, out, kernel_init=init, rngs=rngs)
        for at in range(depth):
            setattr(self, f"hidden_{at}", nnx.Linear(features if at else inputs, features, kernel_init=init, rngs=rngs))
            if norm in NORMS:
                setattr(self, f"norm_{at}", NORMS[norm](features, rngs=nnx.Rngs(0)))
            setattr(self, f"dropout_{at}", nnx.Dropout(dropout, rngs=rngs))
        self.depth, self.activation, self.norm, self.residual = depth, activation, norm, residual

    def __call__(self, x):
        for at in range(self.depth):
            y = getattr(self, f"hidden_{at}")(x)
            y = getattr(self, f"norm_{at}")(y) if self.norm in NORMS else y
            y = getattr(self, f"dropout_{at}")(getattr(nnx, self.activation)(y))
            x = x + y if self.residual and at else y
        return self.out(x)


class Layers(nnx.Module):
    """Layers in a network of the user's own; dropout is told its features where they may be packed."""

    def __init__(self, width, rate, layers, rngs, *told):
        self.first = layers.Linear(5, width, use_bias=False, rngs=rngs)
        self.batch = layers.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.dropout = layers.Dropout(rate, *told, rngs=rngs)
        self.layer = layers.LayerNorm(width, rngs=rngs)
        self.second = layers.Linear(width, width, rngs=rngs)
        self.rms = layers.RMSNorm(width, rngs=rngs)
        self.third = layers.Linear(width, 2 * width, rngs=rngs)
        self.out = layers.Linear(2 * width, 3, rngs=rngs)

    def __call__(self, x):
        x = self.dropout(nnx.sigmoid(self.batch(self.first(x))))
        x = x + self.second(self.layer(x))
        return self.out(nnx.softplus(self.third(self.rms(x))))


def mlp(cls):
    return lambda hp, rngs: cls(5, out=3, rngs=rngs, **{name: hp[name] for name in hp if name != "lr"})


PACKED = {
    "mlp": mlp(vnnx.MLP),
    "layers": lambda hp, rngs: Layers(hp.width, hp.rate, vnnx, rngs, hp.width),
}
PLAIN = {"mlp": mlp(PlainMLP), "layers": lambda hp, rngs: Layers(hp.width, hp.rate, nnx, rngs)}
"""Case -> model(hp, rngs), as `Supervised` takes it."""
