"""Which drive a file lies on: SQLite's shared memory does not reach from one machine to another."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

NETWORK = frozenset(
    ("afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2")
) | frozenset(("orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs"))
"""Types of file systems that several machines may have mounted; so may those in user space (FUSE), but for these:"""
LOCAL_FUSE = frozenset(("fuse.fuse-overlayfs", "fuse.overlayfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.bindfs"))
MOUNTS = Path("/proc/mounts")


def network_drive(path: str | os.PathLike[str], mounts: str) -> str | None:
    """The type of the network file system, or of an unknown one in user space, on which a path lies.

    Args:
      path: absolute and without links.
      mounts: what /proc/mounts says: device, place, type, and more, one mount a line; a later one hides an earlier.

    Returns:
      The type; None for a local drive.

    >>> network_drive("/home/me/vtune.db", "disk / ext4 rw 0 0\\nhost:/home /home nfs4 rw 0 0")
    'nfs4'
    """
    found, longest = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1])
        if len(place) >= longest and Path(path).is_relative_to(place):
            found, longest = fields[2], len(place)
    if found in NETWORK or (found.split(".")[0] == "fuse" and found not in LOCAL_FUSE):
        return found
    return None


def warn_of_network_drive(path: Path) -> None:
    """Warns where a store lies on a drive that other machines may have mounted, if the system tells."""
    try:
        kind = network_drive(path.resolve(), MOUNTS.read_text(errors="surrogateescape"))
    except OSError:
        return
    if kind is not None:
        warnings.warn(
            f"{path} lies on a network drive ({kind}): a store there may be opened by processes of one machine only, "
            "the app and notebooks included, or it can be damaged. Put it on a local disk and copy it when the study "
            "is done, or use a server: postgresql+psycopg://user@host/database.",
            stacklevel=3,
        )
