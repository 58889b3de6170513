"""The fixture `dying`: processes that can be killed at their n-th system call that changes a file."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("dying.c")


@pytest.fixture(scope="session")
def dying(tmp_path_factory):
    """What the environment of such a process must hold."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("killing at a system call needs Linux and a C compiler (cc)")
    library = tmp_path_factory.mktemp("dying") / "dying.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library)}
