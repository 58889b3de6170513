"""How tests compile: without LLVM's optimizations, and never the same program twice in a run."""

from __future__ import annotations

import os
import tempfile

FLAG = "--xla_backend_optimization_level=0"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAG}".strip()
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), f"vtune-tests-{os.getppid()}"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

from faults.dying import dying  # noqa: E402, F401
from faults.recording import pytest_collection_modifyitems, record_fault  # noqa: E402, F401
