"""What is kept on disk: studies, trials, measurements and events, written by one writer and read by anyone."""

from vtune.store.mirror import Mirror
from vtune.store.queue import Queue
from vtune.store.reader import Reader, open_reader
from vtune.store.records import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates
from vtune.store.writer import Writer, open_writer

__all__ = [
    "Commit",
    "Event",
    "Measurements",
    "Mirror",
    "NewTrial",
    "Queue",
    "Reader",
    "StudyRecord",
    "TrialUpdates",
    "Writer",
    "open_reader",
    "open_writer",
]
