"""The kinds of faults that tests try, each with the promise that it is aimed at: the rows of the table in the docs."""

KINDS: dict[str, str] = {
    "kill": "A study that is killed at any time goes on, and ends with the same trials, curves and counts, bit for bit",
    "damaged snapshot": "A snapshot that is missing or damaged only makes a resume take longer",
    "fault in the program": "What goes wrong in a task, a proposer or a scheduler is named, and loses nothing measured",
    "corruption": "A store with bytes changed or cut off is reported, and what can be read is salvaged",
    "full disk": "A full disk is a clear error: what was committed stays, and the study goes on when there is room",
    "killed write": "A commit is whole or absent, whatever is killed and when",
    "two writers": "One study has one writer, and a dead one's successor takes over",
    "hostile file": "Opening a store, a queue, trained variables or a cache runs no code from them",
    "odd name": "Any name is stored, read and shown as it is, and names no file",
    "network drive": "A store on a network drive is pointed out before it is written",
    "old store": "A store of an older version is read as it is, and upgraded whole or not at all",
    "password": "No password is shown in an error, a display or a log",
}
"""Kind -> promise. A test that records a kind which is not here fails."""
