"""The loop of a study and its parts: who is asked, what was measured, how trials end."""
