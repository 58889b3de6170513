import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import log_loss

from vtune.errors import TaskError
from vtune.tasks.losses import resolve

SOURCE = np.random.default_rng(0)
LOGITS, CLASSES = SOURCE.normal(size=(50, 4)).astype("float32"), SOURCE.integers(0, 4, 50)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


def value(name, outputs, labels, **options):
    return float(resolve(name, **options)(None, jnp.asarray(outputs), (None, jnp.asarray(labels))))


def test_cross_entropy_takes_classes_and_probabilities():
    expected = log_loss(CLASSES, PROBABILITIES)
    assert value("cross_entropy", LOGITS, CLASSES) == pytest.approx(expected, rel=1e-5)
    assert value("cross_entropy", LOGITS, np.eye(4)[CLASSES]) == pytest.approx(expected, rel=1e-5)
    tokens = value("cross_entropy", LOGITS.reshape(10, 5, 4), CLASSES.reshape(10, 5))
    assert tokens == pytest.approx(expected, rel=1e-5)


def test_losses_of_differences_never_broadcast_a_column():
    outputs, labels = np.array([[1.0], [2.0]], "float32"), np.array([1.0, 5.0], "float32")
    assert value("mse", outputs, labels) == pytest.approx(4.5)
    assert value("mae", outputs, labels) == pytest.approx(1.5)
    assert value("huber", outputs, labels) == pytest.approx(float(optax.huber_loss(np.array([0.0, 3.0])).mean()))


def test_binary_cross_entropy_is_that_of_the_sigmoid():
    labels = CLASSES % 2
    expected = log_loss(labels, 1 / (1 + np.exp(-LOGITS[:, 0])))
    assert value("binary_cross_entropy", LOGITS[:, :1], labels) == pytest.approx(expected, rel=1e-5)


def test_half_precision_outputs_are_summed_in_single_precision():
    loss = resolve("cross_entropy")(None, jnp.asarray(LOGITS, jnp.bfloat16), (None, jnp.asarray(CLASSES)))
    assert loss.dtype == jnp.float32


@pytest.mark.parametrize(
    ("name", "outputs", "labels", "message"),
    [
        ("cross_entropy", LOGITS, CLASSES[:, None], r"integer labels \[50\]"),
        ("cross_entropy", LOGITS, CLASSES * 1.0, "integer labels"),
        ("mse", LOGITS, CLASSES, r"shape of the labels \[50\]; the model returned \[50, 4\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name, outputs, labels, message):
    with pytest.raises(TaskError, match=message):
        value(name, outputs, labels)


def test_labels_beyond_the_last_class_are_refused():
    with pytest.raises(TaskError, match=r"last axis \(4\); the largest label is 4. Give the model 5 outputs"):
        value("cross_entropy", LOGITS, CLASSES, top_label=4)


def test_other_bad_losses_are_refused():
    with pytest.raises(TaskError, match="one of cross_entropy, binary_cross_entropy, mse, mae, huber; it is 'ce'"):
        resolve("ce")
    with pytest.raises(TaskError, match="it returned a tuple"):
        resolve("mse")(None, (jnp.zeros(2), jnp.zeros(2)), (None, jnp.zeros(2)))
    with pytest.raises(TaskError, match="it returned None"):
        resolve(lambda hp, outputs, batch: None)(None, jnp.zeros(2), (None, jnp.zeros(2)))
