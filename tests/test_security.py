"""Nothing that vtune opens runs code: an audit of the source, and hostile files at every place that is read."""

import ast
import contextlib
import json
import os
import pickle
import re
import shutil
import sqlite3
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest

import vtune
from vtune import calibration, cli
from vtune.errors import StoreError, VtuneError
from vtune.store import (
    Commit,
    Event,
    Measurements,
    NewTrial,
    Queue,
    StudyRecord,
    TrialUpdates,
    open_reader,
    open_writer,
)
from vtune.store.checking import check
from vtune.store.salvage import salvage
from vtune.variables import read_variables, write_variables

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for room in ("vtune", "app") for path in (ROOT / room).rglob("*.py"))

MODULES = frozenset(
    ("pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle")
)
CALLS = frozenset(("eval", "exec", "compile", "__import__"))
METHODS = frozenset(("read_pickle", "to_pickle", "system", "popen", "unsafe_load", "full_load", "load_extension"))
IMPORTING = frozenset(
    (
        "vtune/__init__.py", "vtune/executors/__init__.py", "vtune/extras.py", "vtune/proposers/__init__.py",
        "vtune/proposers/base.py",
    )
)  # fmt: skip
"""These import by names that stand in their own source."""


def dangers(source, name="source"):
    """What in a source can run code that it has read from somewhere, with its lines."""
    for node in ast.walk(ast.parse(source)):
        said = None
        if isinstance(node, ast.Import):
            said = next((alias.name for alias in node.names if alias.name.split(".")[0] in MODULES), None)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            said = node.module
        elif isinstance(node, ast.Call):
            function = node.func
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            if isinstance(function, ast.Name) and function.id in CALLS:
                said = function.id
            elif isinstance(function, ast.Attribute):
                owner = function.value.id if isinstance(function.value, ast.Name) else ""
                loads_objects = function.attr == "load" and owner in ("np", "numpy", "jnp", "yaml", "torch")
                imports = function.attr == "import_module" and not isinstance(node.args[0], ast.Constant)
                if function.attr in METHODS or loads_objects or (imports and str(name) not in IMPORTING):
                    said = f"{owner}.{function.attr}"
            for word, harmless in (("shell", False), ("allow_pickle", False), ("persist", None), ("pickle", False)):
                value = keywords.get(word)
                if value is not None and not (isinstance(value, ast.Constant) and value.value in (harmless, None)):
                    said = f"{word}="
        if said:
            yield f"{name}:{node.lineno}: {said}"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from dill import loads", "import joblib as j", "eval('1')", "exec(text)", "compile(a, b, c)",
        "__import__(name)", "np.load(path)", "numpy.load(path, allow_pickle=True)", "pd.read_pickle(path)",
        "os.system(text)", "subprocess.run(text, shell=True)", "st.cache_data(persist='disk')", "yaml.load(text)",
        "importlib.import_module(name)", "def f():\n    if x:\n        import marshal",
    ],
)  # fmt: skip
def test_the_audit_sees(source):
    assert list(dangers(source))


def test_no_source_runs_what_it_reads(record_fault):
    found = [line for path in SOURCES for line in dangers(path.read_text(), path.relative_to(ROOT))]
    assert not found, "\n".join(found)
    assert len(SOURCES) > 100


class Payload:
    """What, unpickled, makes a folder."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def hostile(mark):
    """Values that do harm where somebody evaluates or unpickles what he reads."""
    pickled = pickle.dumps(Payload(mark))
    call = f"__import__('os').mkdir({str(mark)!r})"
    return [
        pickled,
        pickle.dumps(Payload(mark), protocol=0).decode(),
        call,
        json.dumps({"py/reduce": [{"py/function": "os.mkdir"}, {"py/tuple": [str(mark)]}]}),
        json.dumps({"__tuple__": [call], "__class__": "os.mkdir", "__reduce__": [call]}),
        f"!!python/object/apply:os.mkdir [{str(mark)!r}]",
        "[" * 100_000,
        "{" + '"a":{' * 50_000,
        "1" + "0" * 5_000,
        "<script>alert(1)</script>",
    ]


@contextlib.contextmanager
def harmless(mark):
    """Nothing hostile may have run in this block."""
    seen.clear()
    yield
    assert not mark.exists()
    assert not seen


FORBIDDEN = frozenset({"pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "sqlite3.load_extension"})
seen: list[str] = []
sys.addaudithook(lambda event, arguments: seen.append(event) if event in FORBIDDEN else None)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "study.db"
    with open_writer(path) as writer:
        study = writer.create(StudyRecord("digits", metrics=("loss",), objectives=(("loss", "min"),), trials=2)).id
        new = [NewTrial(i, {"lr": i / 4}, "random") for i in range(2)]
        updates = TrialUpdates(range(2), ["complete"] * 2, [1] * 2, [0.5] * 2)
        rows = Measurements([0, 1], [1, 1], [[0.5], [0.25]])
        writer.commit(study, Commit(1, new, updates, rows, [Event(1.0, "chunk")]))
    with Queue(path) as queue:
        queue.put("digits", [{"lr": 0.5}])
    with open_writer(path) as writer, writer._database.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO leases VALUES (1, 'theirs', '{}')")
    return path


def columns(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]


def spoil(path, table, column, value):
    """Writes a value into a whole column, where SQLite takes it."""
    connection = sqlite3.connect(path, isolation_level=None)
    with contextlib.closing(connection), contextlib.suppress(sqlite3.IntegrityError):
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))


def use(path, folder):
    """All that one may do with a store whose content is unknown."""
    with contextlib.suppress(VtuneError):
        check(path)
    with contextlib.suppress(VtuneError), open_reader(path) as reader:
        for study in reader.studies():
            for read in (reader.frame, reader.curves, reader.events, reader.trials, reader.placement, reader.progress):
                with contextlib.suppress(VtuneError):
                    read(study.id)
            with contextlib.suppress(VtuneError):
                vtune.load(str(path), study.name).space
    with contextlib.suppress(VtuneError):
        salvage(path, folder / "salvaged.db")
    with contextlib.suppress(VtuneError), open_writer(path) as writer:
        writer.update(1, state="running")
    with contextlib.suppress(VtuneError), Queue(path) as queue:
        queue.take("digits")


def test_a_hostile_value_in_every_column_of_a_store(store, tmp_path, record_fault):
    tried = 0
    for number, (table, column) in enumerate(columns(store)):
        values = hostile(tmp_path / "mark")
        several = (values[0], values[1 + number % (len(values) - 1)])
        for value in several if table in ("studies", "configs") else several[:1]:
            folder = tmp_path / str(tried)
            folder.mkdir()
            path = Path(shutil.copy(store, folder))
            spoil(path, table, column, value)
            with harmless(tmp_path / "mark"):
                use(path, folder)
            shutil.rmtree(folder)
            tried += 1
    assert tried > 60
    record_fault("hostile file", tried)


def test_a_hostile_value_in_every_column_of_a_queue(store, tmp_path, record_fault):
    queue = store.with_name(f"{store.name}.queue")
    tried = 0
    for table, column in columns(queue):
        for value in hostile(tmp_path / "mark"):
            folder = tmp_path / str(tried)
            folder.mkdir()
            path = Path(shutil.copy(queue, folder))
            spoil(path, table, column, value)
            with harmless(tmp_path / "mark"), contextlib.suppress(VtuneError), Queue(folder / store.name) as opened:
                assert all(isinstance(config, dict) for _, config in opened.take("digits"))
            shutil.rmtree(folder)
            tried += 1
    record_fault("hostile file", tried)


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TRIGGER t AFTER UPDATE ON studies BEGIN INSERT INTO events SELECT * FROM events; END",
        "CREATE VIEW v AS SELECT load_extension('evil.so')",
        "CREATE VIEW v AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT * FROM r",
    ],
)
def test_a_store_with_programs_in_it_is_not_opened(store, tmp_path, schema, record_fault):
    path = Path(shutil.copy(store, tmp_path))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(schema)
    for open_store in (open_reader, open_writer):
        with pytest.raises(StoreError, match=r"holds a (trigger|view) named"):
            open_store(path)
    record_fault("hostile file")


def test_no_table_of_a_store_is_a_view(store, tmp_path, record_fault):
    path = Path(shutil.copy(store, tmp_path))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE studies RENAME TO hidden")
        connection.execute("CREATE VIEW studies AS SELECT * FROM hidden")
    with pytest.raises(StoreError, match="holds a view named 'studies'"):
        open_reader(path)
    record_fault("hostile file")


def test_hostile_variables(tmp_path, record_fault):
    mark, tried = tmp_path / "mark", 0
    write_variables(tmp_path, 0, {"w": np.ones(3)})
    whole = (tmp_path / "trial-0.msgpack").read_bytes()
    odd = [value if isinstance(value, bytes) else value.encode() for value in hostile(mark)]
    cut = [whole[: len(whole) // 2], b"", whole + b"more", b"\xc7\xff\x01" + b"x" * 255, b"\xdd\xff\xff\xff\xff"]
    typed = [whole.replace(b"float64", name) for name in (b"object1", b"O\x00\x00\x00\x00\x00\x00", b"|S99999")]
    for content in (*odd, *cut, *typed):
        (tmp_path / "trial-0.msgpack").write_bytes(content)
        with harmless(mark), contextlib.suppress(StoreError):
            read_variables(tmp_path, 0)
        tried += 1
    with pytest.raises(StoreError, match=r"damaged.*retrain\(0\)"):
        read_variables(tmp_path, 0)
    record_fault("hostile file", tried)


def test_hostile_costs(tmp_path, monkeypatch, record_fault):
    monkeypatch.setenv("VTUNE_CACHE", str(tmp_path / "cache"))
    device = calibration._device()
    odd = [value if isinstance(value, bytes) else value.encode() for value in hostile(tmp_path / "mark")]
    values = ('"x"', "[]", "NaN", "Infinity", "-1", "0", "1e999", "null", "true", "{}")
    typed = [f'{{"{device}": {{"rate": {value}, "program": 1.0}}}}'.encode() for value in values]
    calibration.write_costs(calibration.Costs())
    tried = 0
    for content in (*odd, *typed, b"[]", b"{}", b'{"a": 1}'):
        calibration._file().write_bytes(content)
        with harmless(tmp_path / "mark"):
            assert 0 < calibration.read_costs().rounded.rate < 1e7
            assert calibration.read_costs().learnt(1.0, 1.0).rate > 0
        tried += 1
    record_fault("hostile file", tried)


def test_the_app_listens_on_this_machine_only(monkeypatch, tmp_path):
    """The options of `vtune app` outweigh the environment and configuration files of others."""
    settings = tomllib.loads((ROOT / "app" / ".streamlit" / "config.toml").read_text())
    assert settings["server"]["address"] == "127.0.0.1"
    assert all(settings["server"][option] for option in ("enableCORS", "enableXsrfProtection", "allowedHosts"))
    monkeypatch.setenv("VTUNE_STORE", "")
    monkeypatch.setattr(sys, "argv", ["vtune"])
    monkeypatch.setattr("runpy.run_module", lambda *_, **__: None)
    secret = "postgresql+psycopg://me:geheim@host/db"
    cli.open_app(secret, 8501, False)
    assert "--server.address=127.0.0.1" in sys.argv
    assert not any("geheim" in argument for argument in sys.argv)


NAMES = ["../../up", "/tmp/absolute", "<b>bold</b>", "C:\\x\\y", "x\ny", "🦆" * 300]
FILES = r"in|in/ner|in/ner/s\.db(-wal|-shm|\.queue(-wal|-shm)?|\.files|\.files/1|\.files/1/trial-0\.msgpack)?"


@pytest.mark.parametrize("name", NAMES)
def test_no_file_is_named_by_a_study(tmp_path, name, record_fault):
    import jax.numpy as jnp

    folder = tmp_path / "in" / "ner"
    folder.mkdir(parents=True)
    task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x)})
    space = vtune.Space(x=vtune.Float(-1, 1))
    study = vtune.Study(task, space, trials=2, store=folder / "s.db", name=name, progress="off")
    study.enqueue([{"x": 0.5}])
    write_variables(study._files, 0, {"w": np.ones(2)})
    study.close()
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert [file for file in files if not re.fullmatch(FILES, file)] == []
    assert vtune.load(str(folder / "s.db"), name).name == name
    record_fault("odd name")


def test_hostile_snapshots(tmp_path, record_fault):
    """Even one whose checksum its forger has written into the store."""
    from vtune.engine.lanes import Point
    from vtune.resume.snapshots import Snapshots, _checksum, newest

    snapshots = Snapshots(tmp_path / "snapshots", seconds=0)
    snapshots.begin(1, [Point(0, done=2, state=[np.ones((1, 2), np.float32)], sums=None)])
    (detail,) = snapshots.wait()
    snapshots.close()
    whole = tmp_path / "whole"
    folder = snapshots.folder / detail["name"]
    shutil.copytree(folder, whole)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    payloads = [value if isinstance(value, bytes) else value.encode() for value in hostile(tmp_path / "mark")]
    for number, file in enumerate(files):
        for checksum in (detail["checksum"], None):
            shutil.rmtree(folder)
            shutil.copytree(whole, folder)
            (folder / file).write_bytes(payloads[0] if checksum is None else payloads[number % len(payloads)])
            told = detail | {"checksum": checksum or _checksum(folder)}
            with harmless(tmp_path / "mark"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                newest(snapshots.folder, [told])
    record_fault("hostile file", 2 * len(files))
