"""Trains trials on the workers of a Ray cluster: this process proposes, decides and writes, the workers train.

`settings` is what a user says, `worker` what runs on a worker, `site` one worker as this process sees it, `fleet` all
of them, `blocks` their lanes, and `executor` what the loop of a study drives.
"""
