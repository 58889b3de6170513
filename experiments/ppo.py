"""Proximal policy optimization (Schulman et al., 2017) on cart-pole: an agent with its own training loop as a task.

A step of the task is an iteration of the algorithm: the policy plays in several environments at once, then learns from
what it saw in a few passes. Every hyperparameter is traced, and each trial is an agent that is trained from two seeds.

usage: python experiments/ppo.py [--small] [--store vtune.db]     then: vtune app vtune.db
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

import vtune
from vtune.analysis import best_trials

SPACE = vtune.Space(
    lr=vtune.Float(1e-4, 3e-2, log=True),
    discount=vtune.Float(0.9, 0.999),
    trace=vtune.Float(0.8, 1.0),
    clip=vtune.Float(0.05, 0.4),
    entropy=vtune.Float(1e-4, 1e-1, log=True),
)


class CartPole:
    """A pole on a cart that is pushed left or right (Barto, Sutton and Anderson, 1983), in steps of 20 ms.

    A state is position, velocity, angle and angular velocity `[4]`; each step that the pole stands is rewarded by 1.
    """

    most = 500

    def reset(self, key):
        return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)

    def step(self, state, action):
        """The next state, and whether the pole fell or the cart left its track."""
        _, speed, angle, spin = state
        gravity, cart, pole, half, seconds = 9.8, 1.0, 0.1, 0.5, 0.02
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        push = (jnp.where(action == 1, 10.0, -10.0) + pole * half * spin**2 * sine) / (cart + pole)
        turn = (gravity * sine - cosine * push) / (half * (4 / 3 - pole * cosine**2 / (cart + pole)))
        pull = push - pole * half * turn * cosine / (cart + pole)
        state = state + seconds * jnp.stack([speed, pull, spin, turn])
        return state, (jnp.abs(state[0]) > 2.4) | (jnp.abs(state[2]) > jnp.deg2rad(12))


class ActorCritic(nn.Module):
    @nn.compact
    def __call__(self, x):
        actor, critic = (nn.tanh(nn.Dense(32)(x)) for _ in range(2))
        return nn.Dense(2, kernel_init=nn.initializers.normal(0.01))(actor), nn.Dense(1)(critic)[..., 0]


class Seen(NamedTuple):
    """What was seen in a time step: the state and its value, what was done and how likely, and what came of it."""

    state: jax.Array
    action: jax.Array
    chance: jax.Array
    value: jax.Array
    after: jax.Array
    fell: jax.Array
    over: jax.Array


class PPO:
    """The agent as a task; budgets may be given in examples, which are time steps of the environment."""

    name = "ppo"
    data = None

    def __init__(self, envs: int = 8, horizon: int = 64, passes: int = 4, parts: int = 4, episodes: int = 16):
        self.env, self.network = CartPole(), ActorCritic()
        self.envs, self.horizon, self.passes, self.parts, self.episodes = envs, horizon, passes, parts, episodes

    def cost(self, hp):
        return self.envs * self.horizon

    def describe(self):
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}

    def optimizer(self, hp):
        return optax.chain(optax.clip_by_global_norm(0.5), optax.adam(hp.lr))

    def init(self, hp, data, key):
        keys = jax.random.split(key, self.envs + 1)
        params = self.network.init(keys[0], jnp.zeros(4))
        ages = jnp.zeros(self.envs, jnp.int32)
        return {
            "params": params,
            "opt": self.optimizer(hp).init(params),
            "env": jax.vmap(self.env.reset)(keys[1:]),
            "age": ages,
        }

    def play(self, params, carry, key):
        """One time step of all environments; those whose episode is over begin a new one."""
        state, age = carry
        act_key, *reset_keys = jax.random.split(key, len(age) + 1)
        logits, value = self.network.apply(params, state)
        action = jax.random.categorical(act_key, logits)
        chance = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        following, fell = jax.vmap(self.env.step)(state, action)
        over = fell | (age + 1 >= self.env.most)
        after = self.network.apply(params, following)[1]
        fresh = jax.vmap(self.env.reset)(jnp.stack(reset_keys))
        carry = jnp.where(over[:, None], fresh, following), jnp.where(over, 0, age + 1)
        return carry, Seen(state, action, chance, value, after, fell, over)

    def advantages(self, hp, seen):
        """Generalized advantage estimates (Schulman et al., 2016), backwards in time."""
        surprise = 1.0 + hp.discount * seen.after * (1.0 - seen.fell) - seen.value
        keep = hp.discount * hp.trace * (1.0 - seen.over)

        def back(later, now):
            advantage = now[0] + now[1] * later
            return advantage, advantage

        return jax.lax.scan(back, jnp.zeros(self.envs), (surprise, keep), reverse=True)[1]

    def loss(self, hp, params, seen, advantage):
        logits, value = self.network.apply(params, seen.state)
        chances = jax.nn.log_softmax(logits)
        ratio = jnp.exp(jnp.take_along_axis(chances, seen.action[:, None], -1)[:, 0] - seen.chance)
        target = advantage + seen.value
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - hp.clip, 1 + hp.clip) * advantage).mean()
        entropy = -(jnp.exp(chances) * chances).sum(-1).mean()
        return 0.5 * jnp.square(value - target).mean() - gain - hp.entropy * entropy

    def step(self, hp, state, data, key):
        play_key, order_key = jax.random.split(key)
        times = jax.random.split(play_key, self.horizon)
        (env, age), seen = jax.lax.scan(
            lambda carry, key: self.play(state["params"], carry, key), (state["env"], state["age"]), times
        )
        rows = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (seen, self.advantages(hp, seen)))
        total, optimizer = self.envs * self.horizon, self.optimizer(hp)
        orders = jax.vmap(lambda key: jax.random.permutation(key, total))(jax.random.split(order_key, self.passes))

        def learn(carry, chosen):
            params, opt = carry
            value, gradients = jax.value_and_grad(lambda p: self.loss(hp, p, *jax.tree.map(lambda x: x[chosen], rows)))(
                params
            )
            updates, opt = optimizer.update(gradients, opt)
            return (optax.apply_updates(params, updates), opt), value

        batches = orders.reshape(self.passes * self.parts, -1)
        (params, opt), losses = jax.lax.scan(learn, (state["params"], state["opt"]), batches)
        return {"params": params, "opt": opt, "env": env, "age": age}, {"batch_loss": losses.mean()}

    def evaluate(self, hp, state, data, key):
        """How long the policy keeps the pole up, the mean over episodes that begin afresh."""

        def go(carry, _):
            cart, standing = carry
            action = self.network.apply(state["params"], cart)[0].argmax(-1)
            cart, fell = jax.vmap(self.env.step)(cart, action)
            return (cart, standing & ~fell), standing

        begin = jax.vmap(self.env.reset)(jax.random.split(key, self.episodes))
        _, standing = jax.lax.scan(go, (begin, jnp.ones(self.episodes, bool)), length=self.env.most)
        return {"reward": standing.sum(0).mean()}

    def variables(self, hp, state, data):
        return state["params"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a glimpse: 8 agents, and few frames")
    parser.add_argument("--store", default="vtune.db", help="where everything is kept; the app opens it")
    options = parser.parse_args()
    trials, frames = (8, 10_240) if options.small else (128, 102_400)

    study = vtune.tune(
        PPO(), SPACE, metric="reward", mode="max", trials=trials, examples=frames, seeds=2, store=options.store
    )
    print(study.explain())
    print("\nThe best five; the reward is the mean over two seeds, at most 500:")
    print(best_trials(study.frame(), "max", 5)[["id", "reward", "reward_std", *SPACE]].to_string(index=False))


if __name__ == "__main__":
    main()
