"""Trained variables on disk: one file a trial, in Flax's msgpack form, which holds arrays and names and no code."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from flax import serialization

from vtune.errors import StoreError

SUFFIX = ".msgpack"


def variables_folder(store: Path | None, study: int) -> Path | None:
    """Where the variables of a study are kept: beside the store's file; None where the store is not a file."""
    return None if store is None else store.with_name(store.name + ".files") / str(study)


def write_variables(folder: Path, trial: int, variables: Any) -> None:
    """Writes the variables of a trial, whole or not at all.

    Args:
      folder: made if it is not there.
      trial: the trial's id.
      variables: pytree of arrays in dicts, lists, tuples and whatever Flax can turn into a state dict.

    Raises:
      StoreError: the folder cannot be written, or its disk is full.
    """
    target = folder / f"trial-{trial}{SUFFIX}"
    unfinished = target.with_suffix(f".{os.getpid()}.part")
    content = serialization.msgpack_serialize(serialization.to_state_dict(variables))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        os.replace(unfinished, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise StoreError(
            f"the trained variables of trial {trial} must be written to {target}, and the system says: "
            f"{error.strerror}. Check the folder and make room; study.retrain({trial}) brings them back."
        ) from error


def read_variables(folder: Path | None, trial: int) -> Any | None:
    """Reads the variables of a trial; None if they are not there.

    Raises:
      StoreError: the file is damaged.
    """
    if folder is None or not (path := folder / f"trial-{trial}{SUFFIX}").is_file():
        return None
    try:
        return serialization.msgpack_restore(path.read_bytes())
    except Exception as error:  # msgpack and NumPy have many for bytes that are not theirs
        raise StoreError(
            f"{path} does not hold trained variables ({type(error).__name__}: {error}): it is damaged. Remove it; "
            f"study.retrain({trial}) brings them back."
        ) from error


def prune_variables(folder: Path, keep: set[int]) -> None:
    """Removes the files of trials that are no longer among the best."""
    for path in folder.glob(f"trial-*{SUFFIX}"):
        if int(path.stem.removeprefix("trial-")) not in keep:
            path.unlink(missing_ok=True)
