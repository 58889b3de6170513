"""The persistent compilation cache: on by default, in the user's cache folder; a second run compiles nothing."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import platformdirs

OFF = ("0", "off", "false", "no")


def cache_folder() -> Path:
    """Where compiled programs are kept: $VTUNE_CACHE, or the user's cache folder."""
    return Path(os.environ.get("VTUNE_CACHE") or platformdirs.user_cache_path("vtune")) / "programs"


def enable_compilation_cache(where: bool | str | Path = True) -> None:
    """Turns JAX's persistent cache on for programs of any size, unless the user has set one up or said no.

    Args:
      where: a folder; True for the default one, unless VTUNE_CACHE=off is in the environment; False for none.
    """
    current = getattr(jax.config, "jax_compilation_cache_dir", None)
    refused = os.environ.get("VTUNE_CACHE", "").lower() in OFF
    if where is False or (where is True and (refused or current is not None)):
        return
    folder = cache_folder() if where is True else Path(where)
    folder.mkdir(parents=True, exist_ok=True)
    if current != str(folder):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
