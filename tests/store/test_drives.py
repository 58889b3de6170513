import warnings

import pytest

from vtune.store import StudyRecord, drives, open_reader, open_writer
from vtune.store.drives import network_drive

MOUNTS = """\
overlay / overlay rw,relatime 0 0
proc /proc proc rw 0 0
/dev/sda1 /home ext4 rw 0 0
server:/export /home/shared nfs4 rw,vers=4.2 0 0
//server/share /mnt/my\\040share cifs rw 0 0
me@host:/data /mnt/ssh fuse.sshfs rw 0 0
drive /content/drive fuse rw 0 0
/dev/sdb1 /mnt/windows fuseblk rw 0 0
layers /containers fuse.fuse-overlayfs rw 0 0
tmpfs /home/shared/fast tmpfs rw 0 0
pool /scratch lustre rw 0 0
map /auto autofs rw 0 0
server:/auto /auto nfs rw 0 0
odd line

"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/vtune.db", None),
        ("/home/shared/vtune.db", "nfs4"),
        ("/home/shared2/vtune.db", None),
        ("/home/shared/fast/vtune.db", None),
        ("/mnt/my share/a b/vtune.db", "cifs"),
        ("/mnt/ssh/vtune.db", "fuse.sshfs"),
        ("/content/drive/MyDrive/vtune.db", "fuse"),
        ("/mnt/windows/vtune.db", None),
        ("/containers/vtune.db", None),
        ("/scratch/vtune.db", "lustre"),
        ("/auto/vtune.db", "nfs"),
        ("/tmp/vtune.db", None),
    ],
)
def test_where_a_path_lies(path, kind, record_fault):
    assert network_drive(path, MOUNTS) == kind
    record_fault("network drive", int(kind is not None))


def test_a_store_on_a_network_drive_is_pointed_out(tmp_path, monkeypatch, record_fault):
    """Also where a link leads to it; reading is not warned of."""
    shared = tmp_path / "shared drive"
    shared.mkdir()
    (tmp_path / "link").symlink_to(shared)
    place = str(shared).replace(" ", "\\040")
    (tmp_path / "mounts").write_text(f"disk / ext4 rw 0 0\nserver:/x {place} nfs rw 0 0\n")
    monkeypatch.setattr(drives, "MOUNTS", tmp_path / "mounts")
    for path in (shared / "vtune.db", tmp_path / "link" / "vtune.db"):
        with pytest.warns(UserWarning, match=r"network drive \(nfs\).*one machine only.*local disk.*postgresql"):
            writer = open_writer(path)
        with writer:
            writer.create(StudyRecord(path.parent.name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_reader(shared / "vtune.db").close()
        open_writer(tmp_path / "vtune.db").close()
        open_writer(None).close()
    record_fault("network drive", 2)


def test_where_the_system_does_not_tell_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(drives, "MOUNTS", tmp_path / "gone")
    open_writer(tmp_path / "vtune.db").close()
