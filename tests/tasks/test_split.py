import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.tasks.sources import divided
from vtune.tasks.split import carve


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6), data=st.data())
def test_a_split_is_disjoint_whole_and_in_proportion(sizes, data):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    total = len(labels)
    if total < 2:
        return
    count = data.draw(st.integers(1, total - 1))
    kept, carved = carve(total, count, labels)
    assert sorted([*kept, *carved]) == list(range(total))
    assert len(carved) == count
    pairs = [size for size in sizes if size >= 2]
    if len(pairs) <= count <= sum(size - 1 for size in pairs):
        for each, size in enumerate(sizes):
            inside = (labels[carved] == each).sum()
            assert (1 <= inside <= size - 1) if size >= 2 else inside == 0


def test_shares_are_those_of_the_classes():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    _, carved = carve(1000, 100, labels)
    assert np.bincount(labels[carved]).tolist() == [60, 30, 10]


def test_a_split_is_the_same_every_time_and_random():
    first, second = carve(1000, 200)[1], carve(1000, 200)[1]
    np.testing.assert_array_equal(first, second)
    assert 300 < first.mean() < 700


def test_test_rows_then_validation_rows_are_fractions_of_all_rows():
    x = np.arange(100.0)[:, None]
    y = np.arange(100) % 4
    found = divided((x, y), 0.2, 0.1)
    train, valid, test = found.train, found.valid, found.test
    parts = [set(part[0][:, 0].tolist()) for part in (train, valid, test)]
    assert [len(part) for part in parts] == [70, 20, 10]
    assert len(set.union(*parts)) == 100
    assert np.bincount(valid[1]).tolist() == [5, 5, 5, 5]


def test_labels_that_are_nearly_all_different_are_split_at_random():
    kept, carved = carve(50, 10, np.arange(50))
    assert len(kept) == 40
    assert len(carved) == 10


@pytest.mark.parametrize("labels", [np.array([0.5, 1.5, 2.5, 3.5]), np.zeros((4, 2), int)])
def test_only_integer_classes_are_stratified(labels):
    found = divided((np.zeros((4, 1)), labels), 0.5, None)
    train, valid, test = found.train, found.valid, found.test
    assert len(train[0]) == len(valid[0]) == 2
    assert test is None
