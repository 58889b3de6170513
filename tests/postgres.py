"""A PostgreSQL server for tests: started from the machine's binaries on a free port; a new database for each test."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

PASSWORD = "geheim-Qx7"
OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=50", "shared_buffers=16MB")
ATTEMPTS = 5


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl: the newest of Debian's, else that on the path; None where there are none."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parents[1].name))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    return Path(found).parent if found else None


class Server:
    """A server of its own; `new()` makes an empty database, `fresh()` an empty schema in the one of `url`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._programs = programs
        self._data = folder / "data"
        # PostgreSQL refuses to run as root.
        self._user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(folder, "nobody", "nogroup")
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        flags = ("--no-sync", "--auth=scram-sha-256", "--username=vtune", "--encoding=UTF8", "--locale=C")
        self._call("initdb", "--pgdata", self._data, "--pwfile", secret, *flags)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write("\n".join((*OPTIONS, f"unix_socket_directories = '{folder}'", "")))
        for attempt in range(ATTEMPTS):
            self.port = free_port()
            try:
                self._call("pg_ctl", "start", "--wait", "-D", self._data, "-l", folder / "log", "-o", f"-p {self.port}")
                break
            except subprocess.CalledProcessError:
                if attempt == ATTEMPTS - 1:
                    raise
        self.url = self._url("postgres")

    def new(self) -> str:
        """Makes an empty database; returns its URL, password included."""
        name = f"test_{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name}")
        return self._url(name)

    def fresh(self) -> str:
        """The URL of an empty schema in one database for all: much cheaper than a database."""
        name = f"test_{uuid.uuid4().hex}"
        self.run(f"CREATE SCHEMA {name}")
        return f"{self.url}?options=-csearch_path%3D{name}"

    def run(self, sql: str) -> None:
        """Runs one statement on the maintenance database."""
        import psycopg

        with contextlib.closing(psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True)) as connection:
            connection.execute(sql.encode())

    def stop(self) -> None:
        """Stops the server."""
        self._call("pg_ctl", "stop", "--wait", "-D", self._data, "-m", "immediate")

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://vtune:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def _call(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        null = subprocess.DEVNULL
        subprocess.run(command, check=True, stdin=null, stdout=null, stderr=null, cwd="/", timeout=120, **self._user)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def postgres():
    """The server; tests that need it are skipped where PostgreSQL or psycopg is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server (initdb) on this machine")
    folder = Path(tempfile.mkdtemp(prefix="vtune-postgres-"))
    folder.chmod(0o755)
    server = Server(folder, programs)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request, tmp_path):
    """Where a new store lies, three times: None, the path of a file, and the URL of a PostgreSQL database."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres").fresh()
    return None if request.param == "memory" else tmp_path / "study.sqlite"
