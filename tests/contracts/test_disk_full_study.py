"""A study whose disk fills up: a clear error, and with room again it ends as if nothing had been."""

import os
import subprocess

import jax.numpy as jnp
import numpy as np
import pytest

import vtune
from vtune.errors import StoreError
from vtune.store.checking import check

SIZE = 1 << 20
TASK = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x - 0.3), "wide": hp.x * jnp.ones(())})
SPACE = vtune.Space(x=vtune.Float(-1, 1), name=vtune.Choice("a" * 200, "b" * 200))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one MiB."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(tmp_path)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small file system")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def tune(store):
    return vtune.tune(
        TASK, SPACE, trials=512, store=store, name="disk", resume=True, progress="off", block=16, threads=1
    )


def test_a_study_goes_on_when_there_is_room_again(small_disk, record_fault):
    wanted = tune(None)
    refused = 0
    for room in (40_000, 160_000, 320_000):
        ballast = small_disk / "ballast"
        ballast.unlink(missing_ok=True)
        disk = os.statvfs(small_disk)
        ballast.write_bytes(bytes(max(0, disk.f_bavail * disk.f_frsize - room)))
        try:
            tune(small_disk / "study.db").close()
        except StoreError as error:
            refused += 1
            said = str(error)
        if refused:
            assert "make room" in said or "check it" in said
    subprocess.run(["mount", "-o", f"remount,size={64 * SIZE}", str(small_disk)], check=True)
    study = tune(small_disk / "study.db")
    assert check(small_disk / "study.db").sound
    np.testing.assert_array_equal(study.frame()["loss"], wanted.frame()["loss"])
    assert study.best_params() is not None
    study.close()
    assert refused > 1
    record_fault("full disk", refused)
