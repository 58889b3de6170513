"""What is trained: the `Task` protocol, supervised learning with Flax and Optax, and whole runs in one function."""

from vtune.tasks.base import Run, Task, check
from vtune.tasks.convolution import convolutions
from vtune.tasks.function import Function
from vtune.tasks.supervised import Supervised
from vtune.tasks.training import Training

__all__ = ["Function", "Run", "Supervised", "Task", "Training", "check", "convolutions"]
