"""Who may speak to the app's server: this machine, by its own names, from the app's own pages."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("streamlit")
ROOT = Path(__file__).parents[1]
WAYS = {
    "vtune app": ("-c", "from vtune.cli import main; main()", "app", "vtune.db", "--no-browser", "--port={port}"),
    "streamlit run": ("-m", "streamlit", "run", "app/main.py", "--server.headless=true", "--server.port={port}"),
}
LAX = {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0", "STREAMLIT_SERVER_ENABLE_CORS": "false"}
"""What the environment of a user may say, for another app."""
NO_WAY_OUT = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https")}
"""Streamlit asks outside for its address before it refuses a foreign origin; not in tests."""
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "streamlit",
}


@contextlib.contextmanager
def served(parts, **environment):
    """The port of a server that was started in some way, from the repository's root."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    path = os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, *(part.format(port=number) for part in parts)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **NO_WAY_OUT, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + 200
            while time.monotonic() < deadline and process.poll() is None:
                with contextlib.suppress(OSError):
                    if asked(number, "/_stcore/health").status == 200:
                        break
                time.sleep(0.1)
            yield number
        finally:
            process.terminate()


@pytest.fixture(scope="module", params=WAYS)
def port(request):
    """Of a server that was started in one of the ways."""
    with served(WAYS[request.param], **(LAX if request.param == "vtune app" else {})) as number:
        yield number


@pytest.mark.parametrize("way", WAYS)
def test_a_newcomer_is_asked_nothing_before_the_app_opens(way, tmp_path):
    """Streamlit wants an email address of who never ran it, unless it is told not to ask or has no browser to open."""
    with_browser = [part for part in WAYS[way] if part not in ("--no-browser", "--server.headless=true")]
    with served(with_browser, HOME=str(tmp_path), BROWSER="true") as number:
        assert asked(number, "/").status == 200


def asked(port, path, host="127.0.0.1", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Host": f"{host}:{port}", **headers})
        return connection.getresponse()


def test_the_page_is_there(port):
    assert asked(port, "/").status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_apps_own_page_gets_data(port, host):
    assert asked(port, "/_stcore/stream", host, Origin=f"http://{host}:{port}", **HANDSHAKE).status == 101


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("evil.example", "http://evil.example:{port}"),
        ("evil.example", "http://127.0.0.1:{port}"),
        ("localhost.evil.example", None),
        ("127.0.0.1", "http://evil.example"),
        ("127.0.0.1", "null"),
    ],
    ids=["another name for this machine", "a forged origin", "a longer name", "another site", "no site"],
)
def test_a_foreign_page_gets_none(port, host, origin):
    """Also where its name was made to lead to this machine (DNS rebinding)."""
    from_where = {} if origin is None else {"Origin": origin.format(port=port)}
    assert asked(port, "/_stcore/stream", host, **from_where, **HANDSHAKE).status == 403


def test_a_foreign_page_may_not_read_what_it_asks_for(port):
    for path in ("/", "/_stcore/health", "/_stcore/host-config"):
        answer = asked(port, path, Origin="http://evil.example")
        assert answer.getheader("Access-Control-Allow-Origin") is None


def test_it_listens_at_one_address_of_this_machine(port):
    """What listens at every address would answer at this one too."""
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.2", port)) != 0
