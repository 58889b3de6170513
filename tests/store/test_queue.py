import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vtune
from vtune.errors import ArgumentError, StoreError
from vtune.store import Queue, open_reader, open_writer

values = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.tuples(st.integers())


@pytest.fixture
def queue(place):
    with Queue(place) as queue:
        yield queue


def test_what_is_put_is_taken_until_it_is_marked(queue):
    assert queue.take("a") == []
    assert queue.put("a", [{"lr": 0.1, "kernel": (3, 3)}, {"lr": 0.2}]) == 2
    assert queue.put("b", [{"lr": 0.3}]) == 1
    assert queue.put("a", []) == 0
    (first, config), (second, _) = queue.take("a")
    assert config == {"lr": 0.1, "kernel": (3, 3)}
    assert len(queue.take("a")) == 2
    queue.mark([first])
    assert [id for id, _ in queue.take("a")] == [second]
    queue.mark([second, first])
    assert queue.take("a") == []
    assert [config for _, config in queue.take("b")] == [{"lr": 0.3}]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.text(), values), max_size=5), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_config_for_any_study(configs, study):
    with Queue(None) as queue:
        assert queue.put(study, configs) == len(configs)
        assert [config for _, config in queue.take(study)] == configs


@pytest.mark.parametrize("name", ["🦆" * 10_000, "".join(map(str, range(3_000))), "'; DROP TABLE queue; --", "../up"])
def test_odd_names(queue, name):
    queue.put(name, [{name: name}])
    queue.put("other", [{}])
    assert [config for _, config in queue.take(name)] == [{name: name}]


def test_what_is_no_config_is_refused_whole(queue):
    with pytest.raises(ArgumentError, match="must be a dict"):
        queue.put("a", [{"lr": 0.1}, 3])
    assert queue.take("a") == []


def test_the_file_lies_beside_the_store_and_only_putting_makes_it(tmp_path):
    with open_writer(tmp_path / "study.sqlite"), Queue(tmp_path / "study.sqlite") as queue:
        queue.take("a")
        queue.mark([1])
        assert not (tmp_path / "study.sqlite.queue").exists()
        queue.put("a", [{"lr": 0.1}])
        assert (tmp_path / "study.sqlite.queue").exists()
        with open_reader(f"sqlite:///{tmp_path / 'study.sqlite'}") as reader:
            assert reader.studies() == []
        with Queue(f"sqlite:///{tmp_path / 'study.sqlite'}") as other:
            assert len(other.take("a")) == 1


def test_a_store_is_not_a_queue(tmp_path):
    open_writer(tmp_path / "study.sqlite.queue").close()
    with pytest.raises(StoreError, match="not a vtune queue"):
        Queue(tmp_path / "study.sqlite").put("a", [{}])


def test_threads_that_put_at_once_lose_nothing(queue):
    def put(thread):
        for i in range(25):
            queue.put("a", [{"thread": thread, "i": i}])

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = queue.take("a")
    assert sorted((c["thread"], c["i"]) for _, c in taken) == [(t, i) for t in range(8) for i in range(25)]
    assert len({id for id, _ in taken}) == 200


def test_processes_that_put_into_a_new_queue_at_once_lose_nothing(tmp_path):
    path = tmp_path / "study.sqlite"
    code = (
        "import sys; from vtune.store import Queue\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for i in range(20): Queue(sys.argv[1]).put('a', [{'process': int(sys.argv[2]), 'i': i}])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(vtune.__file__).parents[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, path, str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for n in range(4)
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait() for process in processes] == [0] * 4
    for process in processes:
        process.stdin.close()
        process.stdout.close()
    with Queue(path) as queue:
        taken = [(c["process"], c["i"]) for _, c in queue.take("a")]
    assert sorted(taken) == [(n, i) for n in range(4) for i in range(20)]
