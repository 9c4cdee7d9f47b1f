"""Clone local files: make a new file that shares the disk blocks of an existing file until either is written to (ioctl_ficlone(2)).

A program that writes into one of the two files does not change the other, whereas a write through a hard link or a symbolic link
changes the original. Btrfs, XFS, bcachefs and others can clone; ext4 and tmpfs cannot.
"""

import errno
import sys
from typing import Final

_FICLONE: Final = 0x40049409
"""`_IOW(0x94, 9, int)` of linux/fs.h."""

_CANNOT: Final = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.ETXTBSY}
)
"""Error numbers which mean that the file system or the kernel cannot clone the files. A copy may still be possible."""


def clone_contents(source: int, target: int) -> bool:
    """Turn an empty file into a clone of another file. Return False if the file system cannot clone it.

    Args:
        source: File descriptor that is open for reading.
        target: File descriptor of an empty file that is open for writing.

    Raises:
        OSError: Cloning failed for another reason, such as a lack of space.
    """
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True
