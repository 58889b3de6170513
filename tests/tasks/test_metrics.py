import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from vtune.errors import TaskError
from vtune.tasks.metrics import resolve

SOURCE = np.random.default_rng(0)
LOGITS, CLASSES = SOURCE.normal(size=(300, 7)).astype("float32"), SOURCE.integers(0, 7, 300)
SCORES, BITS = (SOURCE.normal(size=300) * 3).astype("float32"), SOURCE.integers(0, 2, 300)
VALUES, TARGETS = SOURCE.normal(100, 2, (300, 2)).astype("float32"), SOURCE.normal(100, 3, (300, 2)).astype("float32")


def measured(name, outputs, labels, **options):
    """The metric, its sums added over batches of 128, 128 and 44 rows."""
    metric = resolve(name, **options)[name]
    total = None
    for start in range(0, len(labels), 128):
        part = slice(start, start + 128)
        sums = metric.sums(jnp.asarray(outputs[part]), (None, jnp.asarray(labels[part])))
        total = sums if total is None else jax.tree.map(jnp.add, total, sums)
    return float(metric.finish(total))


@pytest.mark.parametrize(
    ("name", "outputs", "labels", "expected"),
    [
        ("accuracy", LOGITS, CLASSES, sk.accuracy_score(CLASSES, LOGITS.argmax(1))),
        ("accuracy", LOGITS, np.eye(7, dtype="float32")[CLASSES], sk.accuracy_score(CLASSES, LOGITS.argmax(1))),
        ("accuracy", SCORES[:, None], BITS, sk.accuracy_score(BITS, SCORES > 0)),
        ("accuracy", SCORES, BITS, sk.accuracy_score(BITS, SCORES > 0)),
        ("top_5_accuracy", LOGITS, CLASSES, sk.top_k_accuracy_score(CLASSES, LOGITS, k=5)),
        ("f1", LOGITS, CLASSES, sk.f1_score(CLASSES, LOGITS.argmax(1), average="macro")),
        ("f1", LOGITS, CLASSES % 3, sk.f1_score(CLASSES % 3, LOGITS.argmax(1), average="macro")),
        ("f1", SCORES, BITS, sk.f1_score(BITS, SCORES > 0, average="macro")),
        ("auc", SCORES, BITS, sk.roc_auc_score(BITS, SCORES)),
        ("auc", LOGITS[:, :2], BITS, sk.roc_auc_score(BITS, LOGITS[:, 1] - LOGITS[:, 0])),
        ("mse", VALUES, TARGETS, sk.mean_squared_error(TARGETS, VALUES)),
        ("mse", VALUES[:, :1], TARGETS[:, 0], sk.mean_squared_error(TARGETS[:, 0], VALUES[:, 0])),
        ("mae", VALUES, TARGETS, sk.mean_absolute_error(TARGETS, VALUES)),
        ("rmse", VALUES[:, 0], TARGETS[:, 0], sk.root_mean_squared_error(TARGETS[:, 0], VALUES[:, 0])),
        ("r2", VALUES, TARGETS, sk.r2_score(TARGETS, VALUES)),
    ],
)
def test_named_metrics_are_those_of_scikit_learn(name, outputs, labels, expected):
    tolerance = 2e-3 if name == "auc" else 1e-5
    assert measured(name, outputs, labels, centre=100.0) == pytest.approx(expected, rel=tolerance)


def test_several_binary_labels_count_one_by_one():
    outputs, labels = LOGITS, (SOURCE.random((300, 7)) > 0.5).astype("float32")
    expected = ((outputs > 0) == (labels > 0.5)).mean()
    assert measured("accuracy", outputs, labels, binary=True) == pytest.approx(expected, rel=1e-5)


def test_auc_sees_the_order_of_confident_scores():
    scores, labels = np.array([18.0, 19.0, 20.0, 21.0], "float32"), np.array([0, 0, 1, 1])
    assert measured("auc", scores, labels) == 1.0


def test_functions_give_scalars_or_values_by_row():
    given = {"scalar": lambda outputs, batch: outputs.mean(), "rows": lambda outputs, batch: outputs[:, 0]}
    for name, metric in resolve(given).items():
        total = metric.sums(jnp.array([[1.0], [3.0]]), (None, jnp.zeros(2)))
        assert float(metric.finish(total)) == 2.0, name


def test_names_may_be_given_anew():
    assert list(resolve({"hits": "accuracy"})) == ["hits"]
    assert resolve(("accuracy", "n_params"))["n_params"] is None


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("acuracy", "one of accuracy, top_5_accuracy, f1, auc, mse, mae, rmse, r2, n_params; it is 'acuracy'"),
        ({"loss": "mse"}, "must not be called 'loss'"),
        ({"score": len}, "must not be called 'score'"),
        ({"mse": "mse", "train_mse": "mae"}, "'train_mse' clashes with 'mse'"),
        ({"my metric": len}, "must be an identifier"),
        ({"a": 3}, r"fn\(outputs, batch\) or a pair"),
        (("mse", "mse"), "named once"),
        (3, "names or a dict"),
    ],
)
def test_bad_metrics_are_refused(metrics, message):
    with pytest.raises(TaskError, match=message):
        resolve(metrics)


def test_a_metric_of_another_shape_is_refused():
    metric = resolve({"all": lambda outputs, batch: outputs})["all"]
    with pytest.raises(TaskError, match=r"metric 'all' must return a scalar or one value a row \[2\]; .* \[2, 3\]"):
        metric.sums(jnp.zeros((2, 3)), (None, jnp.zeros(2)))
