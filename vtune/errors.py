"""What can go wrong, by name: every error of vtune is a `VtuneError` and also the built-in that it resembles."""


class VtuneError(Exception):
    """Base of all errors that vtune raises on purpose; each is also the built-in error that it resembles.

    Example:
      >>> import vtune
      >>> try:
      ...     vtune.Float(1.0, 0.0)
      ... except vtune.VtuneError as error:
      ...     isinstance(error, ValueError)
      True
    """


class SpaceError(VtuneError, ValueError):
    """A search space that cannot be: bad bounds, unknown parents, cycles, constraints that nothing satisfies."""


class ConfigError(VtuneError, ValueError):
    """A configuration that does not lie in its space."""


class ArgumentError(VtuneError, ValueError):
    """An argument of a public function that it cannot use."""


class TaskError(VtuneError, ValueError):
    """A task whose data, model, loss or metrics do not fit together."""


class GuardError(VtuneError, TypeError):
    """Python asked for the exact value of a hyperparameter that has too many values for one program each."""


class ProposerError(VtuneError, RuntimeError):
    """A proposer that broke its contract: configurations outside the space, or scores that do not fit."""


class SchedulerError(VtuneError, RuntimeError):
    """A scheduler that broke its contract: a verdict that does not fit the report, or is on trials that are over."""


class MemoryExhausted(VtuneError, MemoryError):
    """The device's memory does not hold even the smallest block of lanes."""


class ReplayError(VtuneError, RuntimeError):
    """A trial that was trained again does not measure what its study has stored."""


class StoreError(VtuneError, RuntimeError):
    """A store that cannot be opened, read or written as asked."""


class Interrupted(VtuneError, KeyboardInterrupt):
    """The run was ended by Ctrl-C or SIGTERM; what was done is kept."""


class ResultError(VtuneError, LookupError):
    """A result that is not there: no trial complete, parameters not kept, several objectives and no single best."""


class WorkerError(VtuneError, RuntimeError):
    """Workers of a cluster that die wherever the same trials are trained, or that do not fit together."""


class PackageError(VtuneError, ImportError):
    """An optional package that is not installed."""
