"""Clone local files: make a new file that shares the disk blocks of another one until either is written to (ioctl_ficlone(2)).

A clone has an inode of its own, so a program that writes into one of the two files does not change the other. This is not so for
hard links and symbolic links. Btrfs, XFS, bcachefs and others can clone; ext4 and tmpfs cannot.
"""

import errno
import sys
from typing import Final

_FICLONE: Final = 0x40049409
"""`_IOW(0x94, 9, int)` of linux/fs.h."""

_CANNOT: Final = frozenset(
    {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.ETXTBSY}
)
"""Error numbers of file systems and kernels that cannot clone these files. A copy may still be possible."""


def clone_contents(source: int, target: int) -> bool:
    """Make an empty file a clone of another one. Return False if the file system cannot clone.

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
