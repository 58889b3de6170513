"""Packages that only some parts of vtune need, and what to install when one is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from vtune.errors import PackageError


def extra(package: str, use: str) -> ModuleType:
    """Imports a package of an extra of its own name.

    Args:
      package: its name, which is also the name of the extra.
      use: what needs it, for the error.

    Raises:
      PackageError: it is not installed; says how to install it.

    Example:
      >>> extra("numpy", "everything").__name__
      'numpy'
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise PackageError(f'{use} needs the package {package}: pip install "vtune[{package}]"') from None
