"""Snapshots: the states of running trials on disk, so that a resumed study need not train them from their beginning.

A snapshot is written by Orbax (atomically: a folder that is there is whole) in a thread of its own, beside the store's
file. The store learns of it only once it is complete, and it only ever saves time: without it, or if it cannot be read,
trials are trained again from an older one or from their beginning, which gives the same bits.
"""

from __future__ import annotations

import shutil
import time
import warnings
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from vtune.engine.lanes import Point

SECONDS = 60.0
"""How often running trials are put on disk."""
SHARE = 20
"""Snapshots are as far apart as so many times what one holds up training, so that they cost at most a twentieth."""
KEPT = 2
"""Complete snapshots that stay: the one before the last is for the case that the last is damaged."""
PREFIX = "snapshot-"


class Snapshots:
    """Writes the snapshots of one run.

    Args:
      folder: where they lie; None for a store that is no file, which has none.
      seconds: between two of them.
      known: details of the complete ones that the store knows.

    Example:
      >>> import tempfile
      >>> snapshots = Snapshots(Path(tempfile.mkdtemp()), seconds=0)
      >>> snapshots.begin(3, [Point(5, done=20, state=[np.ones((1, 2), np.float32)], sums=None)])
      >>> detail = snapshots.wait()[0]
      >>> detail["name"], read(snapshots.folder, detail)[0].done
      ('snapshot-3', 20)
      >>> snapshots.close()
    """

    def __init__(self, folder: Path | None, seconds: float = SECONDS, known: Sequence[Mapping[str, Any]] = ()):
        self.folder = folder
        self._seconds = seconds
        self._names = [detail["name"] for detail in known]
        self._next = time.monotonic() + seconds
        self._writing: Future[dict[str, Any]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vtune-snapshots")

    @property
    def due(self) -> bool:
        """Whether it is time for the next one, and the last one is written."""
        return self.folder is not None and self._writing is None and time.monotonic() >= self._next

    def begin(self, clock: int, points: Sequence[Point], held_up: float = 0.0) -> None:
        """Begins to write where trials are after a commit.

        Args:
          clock: of the commit.
          points: the trials.
          held_up: seconds that it took to copy them, while nothing trained.
        """
        self._next = time.monotonic() + max(self._seconds, SHARE * held_up)
        if self.folder is not None and points and self._writing is None:
            self._writing = self._thread.submit(_write, self.folder, clock, list(points))

    def finished(self) -> list[dict[str, Any]]:
        """Details of what has become complete since the last call, for the store; `read` takes them."""
        if self._writing is None or not self._writing.done():
            return []
        writing, self._writing = self._writing, None
        error = writing.exception()
        if error is not None:
            warnings.warn(f"a snapshot could not be written ({_said(error)}); training goes on", stacklevel=2)
            return []
        self._names.append(writing.result()["name"])
        return [writing.result()]

    def wait(self) -> list[dict[str, Any]]:
        """As `finished`, once what is being written is there."""
        if self._writing is not None:
            self._writing.exception()
        return self.finished()

    def prune(self, most: int = KEPT) -> None:
        """Removes all but the last few that the store knows, and what was never finished."""
        if self.folder is None or self._writing is not None or not self.folder.is_dir():
            return
        self._names = self._names[len(self._names) - most :] if most < len(self._names) else self._names
        for path in self.folder.glob(f"{PREFIX}*"):
            if path.name not in self._names:
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Waits for what is being written; the store never hears of it."""
        self._thread.shutdown(wait=True)


def read(folder: Path, detail: Mapping[str, Any]) -> list[Point]:
    """Reads a snapshot.

    Args:
      folder: where it lies.
      detail: what `Snapshots.finished` gave.

    Raises:
      OSError, ValueError: it is missing, or its files are not what was written.
    """
    import jax
    import orbax.checkpoint as ocp

    if _checksum(folder / detail["name"]) != detail["checksum"]:
        raise ValueError("its files are not those that were written")
    as_numpy = ocp.RestoreArgs(restore_type=np.ndarray)
    names = {str(place): _names(group["leaves"]) for place, group in enumerate(detail["groups"])}
    wanted = {place: dict.fromkeys(group, as_numpy) for place, group in names.items()}
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as files:
        tree = files.restore(
            (folder / detail["name"]).absolute(),
            args=ocp.args.PyTreeRestore(item=jax.tree.map(lambda _: 0, wanted), restore_args=wanted),
        )
    points = []
    for place, group in enumerate(detail["groups"]):
        leaves = [tree[str(place)][name] for name in names[str(place)]]
        for row, (trial, done) in enumerate(group["trials"]):
            own = [np.array(leaf[row]) for leaf in leaves]
            points.append(Point(trial, done, *((own[:-1], own[-1]) if group["sums"] else (own, None))))
    return points


def newest(folder: Path | None, details: Sequence[Mapping[str, Any]]) -> tuple[int, list[Point]]:
    """The newest snapshot that can be read: its clock and points; 0 and none if there is none.

    Args:
      folder: where they lie.
      details: of those that the store knows, oldest first.
    """
    for detail in reversed(details[-KEPT:] if folder is not None else []):
        try:
            return detail["clock"], read(Path(str(folder)), detail)
        except Exception as error:  # whatever is wrong with it, there is another way to the same states
            warnings.warn(
                f"{detail['name']} cannot be read ({_said(error)}): trials are trained again from an older one or "
                "from their beginning, with the same result",
                stacklevel=2,
            )
    return 0, []


def _write(folder: Path, clock: int, points: Sequence[Point]) -> dict[str, Any]:
    import orbax.checkpoint as ocp

    groups: dict[tuple[Any, ...], list[Point]] = {}
    for point in points:
        alike = (point.sums is None, *((leaf.shape, str(leaf.dtype)) for leaf in point.state))
        groups.setdefault(alike, []).append(point)
    tree, told = {}, []
    for place, group in enumerate(groups.values()):
        rows = [point.state if point.sums is None else [*point.state, point.sums] for point in group]
        leaves = [np.stack(leaf) for leaf in zip(*rows, strict=True)]
        tree[str(place)] = dict(zip(_names(len(leaves)), leaves, strict=True))
        trials, sums = [[point.trial, point.done] for point in group], group[0].sums is not None
        told.append({"leaves": len(leaves), "sums": sums, "trials": trials})
    name = f"{PREFIX}{clock}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as files:
            files.save((folder / name).absolute(), args=ocp.args.PyTreeSave(tree), force=True)
    except BaseException:
        for path in folder.glob(f"{name}*"):
            shutil.rmtree(path, ignore_errors=True)
        raise
    return {"name": name, "clock": clock, "groups": told, "checksum": _checksum(folder / name)}


def _names(leaves: int) -> list[str]:
    return [f"{place:04}" for place in range(leaves)]


def _checksum(folder: Path) -> int:
    """Of the names and contents of all files; Orbax is never given others than it wrote."""
    found = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found = zlib.crc32(path.read_bytes(), zlib.crc32(str(path.relative_to(folder)).encode(), found))
    return found


def _said(error: BaseException) -> str:
    text = str(error).splitlines()[0][:200] if str(error) else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
