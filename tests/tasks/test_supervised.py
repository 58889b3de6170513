import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from vtune import rng
from vtune.errors import TaskError
from vtune.tasks import Run, Supervised, Task

HP = SimpleNamespace(lr=0.1, smooth=0.1, batch=5)
SOURCE = np.random.default_rng(0)
X, Y = SOURCE.normal(size=(40, 4)), SOURCE.integers(0, 3, 40)
KEY = rng.key(0, 0, "init")


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="head")(nn.relu(nn.Dense(6, name="body")(x)))


def make(model=lambda hp: Net(), optimizer=lambda hp: optax.sgd(hp.lr), **options):
    return Supervised(model, optimizer, **{"train": (X, Y), "batch_size": 8, **options})


def steps(task, count=1, hp=HP):
    state, infos = task.init(hp, task.data, KEY), []
    step = jax.jit(lambda state, data, key: task.step(hp, state, data, key))
    for each in range(count):
        state, info = step(state, task.data, rng.key(0, 0, "model", each))
        infos.append(info)
    return state, infos


def close(found, expected, tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance), found, expected)


def measure(task, state, hp=HP):
    return jax.jit(lambda state, data, key: task.evaluate(hp, state, data, key))(
        state, task.data, rng.key(0, 0, "evaluate", 1)
    )


def test_it_is_an_ordinary_task():
    assert isinstance(make(), Task)


def test_what_is_measured_is_named_before_it_runs():
    task = make(metrics=("accuracy", "n_params"))
    found = measure(task, task.init(HP, task.data, KEY))
    assert set(found) == set(task.metric_names)
    assert found["n_params"] == 4 * 6 + 6 + 6 * 3 + 3


def test_the_training_subset_is_a_part_of_the_training_rows():
    task = make(valid=0.25)
    assert len(task.data["subset"][0]) == len(task.data["valid"][0]) == 10
    train = {tuple(row) for row in task.data["train"][0].tolist()}
    assert {tuple(row) for row in task.data["subset"][0].tolist()} <= train
    small = make(train=(X[:10], Y[:10]), valid=(X[10:], Y[10:]))
    assert len(small.data["subset"][0]) == 10


def test_dicts_prepare_and_augment_work_inside_the_program():
    seen = []

    def augment(hp, batch, key):
        seen.append(batch["x"].dtype)
        soft = jax.nn.one_hot(batch["y"], 3) * (1 - hp.smooth) + hp.smooth / 3
        return {"x": batch["x"] + 0.1 * jax.random.normal(key, batch["x"].shape), "y": soft}

    images = SOURCE.integers(0, 255, (40, 4)).astype("uint8")
    task = make(train={"x": images, "y": Y}, prepare=lambda batch: {**batch, "x": batch["x"] / 255.0}, augment=augment)
    assert task.data["train"]["x"].dtype == np.uint8
    state, (info,) = steps(task)
    assert seen == [jnp.float32]

    picked = np.asarray(task.indices(KEY, 0, 8))
    x, y = (task.data["train"][name][picked] for name in ("x", "y"))
    batch = augment(
        HP, {"x": jnp.asarray(x / 255.0, jnp.float32), "y": y}, jax.random.fold_in(rng.key(0, 0, "model"), 1)
    )
    start = task.init(HP, task.data, KEY)["params"]
    expected = optax.softmax_cross_entropy(Net().apply({"params": start}, batch["x"]), batch["y"]).mean()
    close(info["batch_loss"], expected, 1e-5)
    valid = task.data["valid"]
    expected = optax.softmax_cross_entropy_with_integer_labels(
        Net().apply({"params": state["params"]}, valid["x"] / 255.0), valid["y"]
    ).mean()
    close(measure(task, state)["loss"], expected, 1e-5)


def test_a_loss_sees_hyperparameters_and_several_inputs_are_arguments():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, a, b, deterministic):
            return nn.Dense(1)(a) + nn.Dense(1)(b)

    task = make(
        lambda hp: Two(),
        train={"a": X, "b": X**2, "t": Y * 1.0},
        inputs=lambda batch: (batch["a"], batch["b"]),
        loss=lambda hp, outputs, batch: hp.smooth * jnp.square(outputs[:, 0] - batch["t"]),
        metrics={"bias": lambda outputs, batch: (outputs[:, 0] - batch["t"]).mean()},
    )
    state, _ = steps(task)
    valid = task.data["valid"]
    outputs = Two().apply({"params": state["params"]}, valid["a"], valid["b"], deterministic=True)[:, 0]
    found = measure(task, state)
    close(found["loss"], 0.1 * jnp.square(outputs - valid["t"]).mean(), 1e-5)
    close(found["bias"], (outputs - valid["t"]).mean(), 1e-4)


def test_a_batch_size_may_be_a_hyperparameter():
    task = make(batch_size=lambda hp: hp.batch)
    _, (info,) = steps(task)
    picked = np.asarray(task.indices(KEY, 0, 5))
    x, y = (part[picked] for part in task.data["train"])
    outputs = Net().apply({"params": task.init(HP, task.data, KEY)["params"]}, x)
    expected = optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()
    close(info["batch_loss"], expected, 1e-5)


def test_the_optimizer_may_ask_for_the_run():
    asked = []

    def optimizer(hp, run):
        asked.append((run.steps, run.eval_every, run.batch_size, run.rows, run.steps_per_epoch, run.epochs))
        return optax.sgd(hp.lr)

    task = make(optimizer=optimizer)
    with pytest.raises(TaskError, match="to know the run"):
        task.init(HP, task.data, KEY)
    task.for_run(Run(100, 10)).init(HP, task.data, KEY)
    assert asked == [(100, 10, 8, 32, 4, 25.0)]


def test_a_plateau_schedule_is_given_the_loss():
    def optimizer(hp):
        return optax.chain(optax.sgd(hp.lr), optax.contrib.reduce_on_plateau(patience=1, accumulation_size=1))

    state, infos = steps(make(optimizer=optimizer), 2)
    assert float(state["opt"][1].best_value) == pytest.approx(min(float(info["batch_loss"]) for info in infos))


def test_collections_are_carried_but_what_sow_makes_is_not():
    class Counting(nn.Module):
        @nn.compact
        def __call__(self, x, training):
            calls = self.variable("counts", "calls", lambda: jnp.zeros((), jnp.int32))
            if training:
                calls.value += 1
            self.sow("intermediates", "x", x)
            self.sow("losses", "x", x.sum())
            return nn.Dense(3)(x)

    state, _ = steps(make(lambda hp: Counting()), 3)
    assert set(state["extra"]) == {"counts"}
    assert state["extra"]["counts"]["calls"] == 3


def test_a_linen_stream_of_another_name_falls_back():
    class Noisy(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(x + jax.random.normal(self.make_rng("noise"), x.shape))

    task = make(lambda hp: Noisy())
    _, (info,) = steps(task)
    picked = np.asarray(task.indices(KEY, 0, 8))
    x, y = (part[picked] for part in task.data["train"])
    stream = jax.random.fold_in(rng.key(0, 0, "model"), 2)
    params = task.init(HP, task.data, KEY)["params"]
    outputs = Noisy().apply({"params": params}, x, rngs={"noise": stream})
    expected = optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()
    close(info["batch_loss"], expected, 1e-5)


BODY = {"kernel": SOURCE.normal(size=(4, 6)).astype("float32"), "bias": np.ones(6, "float32")}


class TestFineTuning:
    """A pretrained body, a low-rank adapter and a head."""

    class Adapted(nn.Module):
        @nn.compact
        def __call__(self, x):
            down, up = (
                nn.Dense(2, name="adapter_down"),
                nn.Dense(6, name="adapter_up", kernel_init=nn.initializers.zeros),
            )
            return nn.Dense(3, name="head")(nn.relu(nn.Dense(6, name="body")(x) + up(down(x))))

    @staticmethod
    def optimizer(hp):
        """Two learning rates, weight decay on kernels only."""
        return optax.chain(
            optax.add_decayed_weights(0.01, mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params)),
            optax.multi_transform(
                {"head": optax.sgd(hp.lr), "adapter": optax.adam(hp.lr / 10)},
                lambda params: {name: "head" if name == "head" else "adapter" for name in params},
            ),
        )

    def task(self, **options):
        settings = {"init": {"params": {"body": BODY}}, "trainable": lambda path: path[0] != "body", **options}
        return make(lambda hp: self.Adapted(), self.optimizer, **settings)

    def test_the_frozen_part_is_stored_once_and_has_neither_gradients_nor_state(self):
        task = self.task()
        state = task.init(HP, task.data, KEY)
        assert set(state["params"]) == {"adapter_down", "adapter_up", "head"}
        assert not any(leaf.shape == (4, 6) for leaf in jax.tree.leaves(state))
        np.testing.assert_array_equal(task.data["pretrained"]["params"]["body"]["kernel"], BODY["kernel"])

    def test_it_trains_as_by_hand_and_hands_out_the_whole_model(self):
        task, module = self.task(), self.Adapted()
        state, infos = steps(task, 6)
        fresh = module.init(KEY, task.data["train"][0][:1])["params"]
        params, frozen = {name: fresh[name] for name in fresh if name != "body"}, {"body": BODY}
        tx = self.optimizer(HP)
        opt, losses = tx.init(params), []

        def loss(params, x, y):
            outputs = module.apply({"params": {**params, **frozen}}, x)
            return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()

        @jax.jit
        def step(params, opt, x, y):
            value, grads = jax.value_and_grad(loss)(params, x, y)
            updates, opt = tx.update(grads, opt, params)
            return optax.apply_updates(params, updates), opt, value

        for each in range(6):
            x, y = (part[np.asarray(task.indices(KEY, each, 8))] for part in task.data["train"])
            params, opt, value = step(params, opt, x, y)
            losses.append(value)
        np.testing.assert_allclose([info["batch_loss"] for info in infos], losses, rtol=1e-5)
        whole = task.variables(HP, state, task.data)["params"]
        assert jax.tree.structure(whole) == jax.tree.structure(fresh)
        np.testing.assert_array_equal(whole["body"]["kernel"], BODY["kernel"])
        np.testing.assert_allclose(whole["head"]["kernel"], params["head"]["kernel"], rtol=1e-4, atol=1e-6)

    def test_a_study_measures_what_it_tunes(self):
        task = self.task(metrics=())
        assert set(task.measuring(["n_params", "loss", "mine"])._metrics) == {"n_params"}
        assert task.measuring(["loss"]) is task

    def test_n_params_counts_the_frozen_part_too(self):
        task = self.task(metrics="n_params")
        found = measure(task, task.init(HP, task.data, KEY))
        assert found["n_params"] == sum(leaf.size for leaf in jax.tree.leaves(Net().init(KEY, X[:1]))) + 10 + 18

    def test_pretrained_values_may_be_trained_on(self):
        task = self.task(trainable=None)
        state = task.init(HP, task.data, KEY)
        np.testing.assert_array_equal(state["params"]["body"]["kernel"], BODY["kernel"])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"init": None}, "must come from init=; it lacks body/bias, body/kernel|body/kernel, body/bias"),
            ({"init": {"params": {"body": {"kernel": BODY["kernel"]}}}}, "it lacks body/bias"),
            (
                {"init": {"params": {"body": {**BODY, "kernel": np.zeros((2, 6))}}}},
                r"params at body/kernel of shape \[\(2, 6\)\]; the model's has \[\(4, 6\)\]",
            ),
            ({"init": {"params": {"boddy": BODY}}}, "boddy/bias, which the model does not have; it has"),
            ({"init": {"params": {"body": BODY}, "stats": {"m": X}}}, "variables at stats/m, which the model does not"),
            ({"trainable": lambda path: False, "init": {"params": {}}}, "it lacks"),
        ],
    )
    def test_what_does_not_fit_is_named(self, options, message):
        task = self.task(**options)
        with pytest.raises(TaskError, match=message):
            task.init(HP, task.data, KEY)

    def test_params_must_be_under_their_name(self):
        with pytest.raises(TaskError, match=r"must be \{'params': ...\}, .* its keys are body"):
            self.task(init={"body": BODY})

    def test_something_must_be_trained(self):
        whole = self.Adapted().init(KEY, X[:1])
        task = self.task(init=whole, trainable=lambda path: False)
        with pytest.raises(TaskError, match="true for at least one path"):
            task.init(HP, task.data, KEY)


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(4, 6, rngs=rngs), nnx.Linear(6, 3, rngs=rngs)])
        self.norm = nnx.BatchNorm(6, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        hidden = self.dropout(nnx.relu(self.norm(self.layers[0](x))))
        self.sow(nnx.Intermediate, "hidden", hidden)
        return self.layers[1](hidden)


def test_an_nnx_body_is_frozen_by_path():
    pretrained = NnxNet(nnx.Rngs(5))
    task = make(
        lambda hp, rngs: NnxNet(rngs),
        init=nnx.state(pretrained),
        trainable=lambda path: path[:2] == ("layers", "1"),
    )
    state, _ = steps(task, 2)
    assert jax.tree.leaves(jax.tree.map(jnp.shape, state["params"]), is_leaf=lambda s: isinstance(s, tuple)) == [
        (3,),
        (6, 3),
    ]
    variables = task.variables(HP, state, task.data)
    np.testing.assert_array_equal(variables["layers"][0]["kernel"], pretrained.layers[0].kernel[...])
    assert not np.allclose(variables["layers"][1]["kernel"], pretrained.layers[1].kernel[...])
    assert not np.allclose(variables["norm"]["mean"], 0)


@pytest.mark.parametrize("model", [lambda hp: Net(), lambda hp, rngs: NnxNet(rngs)], ids=["linen", "nnx"])
def test_test_data_are_kept_apart_and_measured_on_request(model):
    task = make(model, test=0.2, metrics="accuracy")
    assert set(task.data) == {"train", "valid", "subset", "pretrained"}
    state, _ = steps(task)
    found = task.test_metrics(HP, task.variables(HP, state, task.data))
    swapped = {**task.data, "valid": task.test}
    expected = task.evaluate(HP, state, swapped, KEY)
    close(found, {name: expected[name] for name in ("loss", "accuracy")}, 1e-5)
    with pytest.raises(TaskError, match="this task has none"):
        make().test_metrics(HP, {})


def test_a_description_is_json_and_tells_data_apart():
    first = make(metrics="accuracy").describe()
    assert json.loads(json.dumps(first)) == first
    assert first == make(metrics="accuracy").describe()
    assert first != make(train=(X + 1, Y), metrics="accuracy").describe()
    assert first != make(metrics="f1").describe()


def test_errors_in_user_code_come_out_as_they_are():
    def model(hp):
        raise KeyError("mine")

    task = make(model)
    with pytest.raises(KeyError, match="mine"):
        task.init(HP, task.data, KEY)


NAN = X.copy()
NAN[3, 1] = np.nan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": ()}, "train must hold at least one array"),
        ({"train": (X, Y[:-1])}, r"same number of rows; train\[0\] has 40, train\[1\] has 39"),
        ({"train": (X.tolist(), Y)}, r"train\[0\]\[0\]\[0\] must be an array .* pass numpy.asarray"),
        ({"train": (NAN, Y)}, r"train\[0\] must be finite; 1 of 40 rows .* first is row 3.*prepare="),
        ({"train": (X, Y.astype(str))}, r"train\[1\] must hold numbers; its dtype is <U"),
        ({"train": (X, np.array(3))}, r"train\[1\] must have a leading axis"),
        ({"train": (X[:0], Y[:0])}, r"train\[0\] must have at least one row"),
        ({"train": (X, Y + 2**40)}, r"train\[1\] must fit int32"),
        ({"valid": 1.5}, "valid must be data .* between 0 and 1; it is 1.5"),
        ({"valid": None}, "valid must be data .* it is None"),
        ({"valid": (X, X)}, r"a row of valid\[1\] must be as in train: int32\[\]; it is float32\[4\]"),
        ({"valid": X}, "valid must have the structure of train"),
        ({"valid": (X[:, :2], Y)}, r"float32\[4\]; it is float32\[2\]"),
        ({"valid": 0.5, "test": 0.5}, "valid=0.5 leaves no training data: it takes 20 of the 20 rows"),
        ({"train": (X, Y - 1)}, "labels from 0; the smallest label of train is -1"),
        ({"loss": "binary_cross_entropy"}, "labels from 0 to 1; those of train reach from 0 to 2"),
        ({"train": X}, "batches are a ndarray"),
        ({"loss": "crossentropy"}, "one of cross_entropy"),
        ({"metrics": ("acc",)}, "metric 'acc' must be"),
        ({"batch_size": 33}, r"between 1 and the rows of training data \(32\); it is 33"),
        ({"batch_size": 0}, "batch_size must lie"),
        ({"batch_size": "8"}, r"batch_size must be a whole number or fn\(hp\)"),
        ({"batch_size": True}, "batch_size must be a whole number"),
        ({"model": Net()}, "model must be a function; .* Wrap it: `lambda hp: ...`"),
        ({"optimizer": optax.sgd(0.1)}, "optimizer must be a function"),
        ({"augment": 3}, "augment must be a function; it is 3"),
        ({"init": [1]}, "init= must be a nested dict"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(options, message):
    with pytest.raises(TaskError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": lambda hp: nn.Dense(2)}, r"last axis \(2\); the largest label is 2. Give the model 3 outputs"),
        ({"model": lambda hp: 3}, "must return a flax.linen.Module; it returned a int"),
        ({"model": lambda hp: nnx.Linear(4, 3, rngs=nnx.Rngs(0))}, r"second argument: model\(hp, rngs\)"),
        ({"model": lambda hp, rngs: Net()}, "must return a flax.nnx.Module; it returned a Net"),
        ({"model": lambda hp: nn.Sequential([jnp.tanh])}, "Sequential has none"),
        ({"batch_size": lambda hp: 100}, "it is 100"),
        ({"loss": lambda hp, outputs, batch: outputs}, r"loss must return a scalar or one value a row \[8\]"),
    ],
)
def test_what_only_a_trace_can_show_is_refused_by_name(options, message):
    task = make(**options)
    with pytest.raises(TaskError, match=message):
        steps(task)


def test_missing_values_are_for_prepare_to_fill():
    task = make(train=(NAN, Y), prepare=lambda batch: (jnp.nan_to_num(batch[0]), batch[1]))
    _, (info,) = steps(task)
    assert np.isfinite(info["batch_loss"])
