"""Stores that were damaged at random: reported, never run, never waited for; what can be read is salvaged."""

import contextlib
import random
import shutil
import sqlite3
import sys

import numpy as np
import pytest

from vtune.errors import StoreError, VtuneError
from vtune.store import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates, open_reader, open_writer
from vtune.store.checking import check
from vtune.store.pages import PAGE
from vtune.store.salvage import salvage

TRIALS, CHUNKS = 90, 8
FORBIDDEN = frozenset(
    {"pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "sqlite3.load_extension"}
)
_watched: list[str] | None = None


def _audit(event, arguments):
    if _watched is not None and event in FORBIDDEN:
        _watched.append(event)


sys.addaudithook(_audit)


@contextlib.contextmanager
def nothing_is_run():
    """No program is started and no object unpickled in this block."""
    global _watched
    _watched = []
    try:
        yield
        assert _watched == []
    finally:
        _watched = None


def fill(path, trials=TRIALS):
    """Two studies on some dozens of pages: one complete, one running."""
    with open_writer(path) as writer:
        for name in ("digits", "letters"):
            record = StudyRecord(name, metrics=("loss", "accuracy"), objectives=(("loss", "min"),), trials=trials)
            study = writer.create(record).id
            configs = [{"lr": i / trials, "kernel": (3, i), "text": "x" * (i % 40)} for i in range(trials)]
            new = [NewTrial(i, config, "random") for i, config in enumerate(configs)]
            writer.commit(study, Commit(new_trials=new, study={"state": "running", "choices": {"long": "y" * 9_000}}))
            for clock in range(1, CHUNKS + 1):
                state = "complete" if clock == CHUNKS and name == "digits" else "running"
                steps, ids = np.full(trials, clock), np.arange(trials)
                scores = ids / (1.0 + clock)
                rows = Measurements(ids, steps, np.stack([scores, -scores], axis=1))
                updates = TrialUpdates(ids, [state] * trials, steps, scores)
                events = [Event(float(clock), "chunk", {"clock": clock})]
                writer.commit(study, Commit(clock, trial_updates=updates, measurements=rows, events=events))
            if name == "digits":
                writer.update(study, state="complete")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "study.sqlite"
    fill(path)
    return path


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A store whose last changes lie in its -wal file, as after a kill."""
    folder = tmp_path_factory.mktemp("logged")
    with open_writer(folder / "study.sqlite") as writer:
        writer.create(StudyRecord(name="first", metrics=("loss",)))
    with contextlib.closing(sqlite3.connect(folder / "study.sqlite")) as other:
        # Another connection that reads keeps the log from being taken into the file.
        other.execute("BEGIN")
        other.execute("SELECT * FROM studies").fetchall()
        fill(folder / "study.sqlite")
        shutil.copytree(folder, folder / "copy")
    return folder / "copy" / "study.sqlite"


def flipped(content, rng):
    for _ in range(rng.choice((1, 4, 64))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def overwritten(content, rng):
    start = rng.randrange(len(content))
    content[start : start + rng.randrange(1, 2 * PAGE)] = rng.randbytes(rng.randrange(1, 2 * PAGE))


def head(content, rng):
    for _ in range(rng.choice((1, 8))):
        content[rng.randrange(100)] = rng.randrange(256)


def page_heads(content, rng):
    for _ in range(rng.choice((1, 5))):
        content[rng.randrange(len(content) // PAGE) * PAGE + rng.randrange(12)] = rng.randrange(256)


def zeroed(content, rng):
    start = rng.randrange(len(content) // PAGE) * PAGE
    content[start : start + PAGE] = bytes(PAGE)


def cut(content, rng):
    del content[rng.randrange(len(content)) :]


def cut_at_a_page(content, rng):
    del content[rng.randrange(len(content) // PAGE) * PAGE :]


def exchanged(content, rng):
    one, two = (rng.randrange(len(content) // PAGE) * PAGE for _ in range(2))
    content[one : one + PAGE], content[two : two + PAGE] = content[two : two + PAGE], content[one : one + PAGE]


def lengthened(content, rng):
    content += rng.randbytes(rng.randrange(1, 3 * PAGE))


DAMAGES = (flipped, overwritten, head, page_heads, zeroed, cut, cut_at_a_page, exchanged, lengthened)
LOSING = (zeroed, cut, cut_at_a_page)
"""What makes bytes disappear and no wrong ones appear: whatever is salvaged then must be as it was."""


def read_all(path):
    with open_reader(path) as reader:
        for study in reader.studies():
            for read in (reader.frame, reader.curves, reader.events, reader.trials, reader.placement, reader.progress):
                with contextlib.suppress(VtuneError):
                    read(study.id)


def write(path):
    with open_writer(path) as writer:
        writer.commit(2, Commit(clock=99, measurements=Measurements([0], [99], [[1.0, 2.0]])))


def try_damage(base, damage, seed, folder):
    """Damages a copy and does all that one may do with a store; returns how many trials were salvaged."""
    rng = random.Random(seed)
    for file in base.parent.glob(f"{base.name}*"):
        shutil.copy(file, folder / file.name)
    path, log = folder / base.name, folder / f"{base.name}-wal"
    there = log.exists() and log.stat().st_size > 0
    target = log if there and rng.random() < 0.5 else path
    content = bytearray(target.read_bytes())
    damage(content, rng)
    target.write_bytes(content)
    salvaged = []
    with nothing_is_run():
        found = check(path)
        assert found.sound or str(found)
        with contextlib.suppress(VtuneError):
            read_all(path)
        with contextlib.suppress(StoreError):
            salvaged = salvage(path, folder / "salvaged.sqlite")
        with contextlib.suppress(VtuneError):
            write(path)
    if salvaged:
        after = check(folder / "salvaged.sqlite")
        assert after.sound, f"{damage.__name__} {seed}: {after}"
    if damage in LOSING and not there:
        with open_reader(base) as before:
            for study in salvaged:
                check_unchanged(study, before)
    return sum(len(study.trials) for study in salvaged)


def check_unchanged(study, before):
    """What was salvaged is what there was."""
    name, number = study.row["name"], study.row["id"]
    if not study.unknown:
        assert before.study(number).name == name
    whole = {(row.trial, row.step): (row.loss, row.accuracy) for row in before.curves(number).itertuples()}
    assert all(whole[row[1:3]] == row[3:] for row in study.curves)
    trials = {trial.id: trial for trial in before.trials(number)}
    states = {id: trial["state"] for id, trial in study.trials.items() if trial["error"] is None}
    assert all(trials[id].state == state for id, state in states.items())


def run(cases, sound, logged, tmp_path):
    salvaged = []
    for seed in range(cases):
        folder = tmp_path / str(seed)
        folder.mkdir()
        base = logged if seed % 4 == 3 else sound
        salvaged.append(try_damage(base, DAMAGES[seed % len(DAMAGES)], seed, folder))
        shutil.rmtree(folder)
    return salvaged


def test_damaged_stores(sound, logged, tmp_path, record_fault):
    salvaged = run(63, sound, logged, tmp_path)
    assert sum(n > TRIALS for n in salvaged) > 30
    record_fault("corruption", len(salvaged))


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_two_thousand_damaged_stores(sound, logged, tmp_path, record_fault):
    salvaged = run(2_000, sound, logged, tmp_path)
    whole = sum(n == 2 * TRIALS for n in salvaged)
    print(f"{len(salvaged):,} damaged stores; all trials salvaged of {whole:,}, none of {salvaged.count(0):,}")
    record_fault("corruption", len(salvaged))


def test_cut_at_every_page(sound, tmp_path, record_fault):
    content = sound.read_bytes()
    salvaged = []
    for pages in range(len(content) // PAGE):
        path = tmp_path / f"{pages}.sqlite"
        path.write_bytes(content[: pages * PAGE])
        found = check(path)
        assert not found.sound
        with pytest.raises(VtuneError):
            read_all(path)
        with contextlib.suppress(StoreError):
            with open_reader(sound) as before:
                studies = salvage(path, tmp_path / f"{pages}.salvaged.sqlite")
                for study in studies:
                    check_unchanged(study, before)
            salvaged.append(sum(len(study.trials) for study in studies))
            assert "lost" in "".join(study.summary for study in studies)
    assert salvaged == sorted(salvaged)
    assert salvaged[-1] == 2 * TRIALS
    record_fault("corruption", len(content) // PAGE)
