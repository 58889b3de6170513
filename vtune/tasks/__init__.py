"""What is trained: the `Task` protocol, supervised learning with Flax and Optax, and whole runs in one function."""

from vtune.tasks.base import Run, Task, Windows, check
from vtune.tasks.convolution import convolutions
from vtune.tasks.function import Function
from vtune.tasks.streamed import Streamed
from vtune.tasks.supervised import Supervised
from vtune.tasks.training import Training

__all__ = ["Function", "Run", "Streamed", "Supervised", "Task", "Training", "Windows", "check", "convolutions"]
