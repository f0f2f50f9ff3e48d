"""The errors a user can cause. Scripts print them as one line; everything else is a bug."""

import errno

_ROOM = "make room (df -h, df -i, quota), and run it again"
_AWAY = "the disk failed or was away; look at it, and run it again"
_MISSING = "has the step before it run?"
_CLOSED = "change its owner or rights, or put the results elsewhere, and run it again"
#: What a full disk says.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: Errors of the system that are no bug, by number, and what to do.
SYSTEM_ERRORS = {
    errno.ENOENT: _MISSING,
    errno.EISDIR: _MISSING,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    **dict.fromkeys(DISK_FULL, _ROOM),
    errno.EIO: _AWAY,
    errno.ESTALE: _AWAY,
}


class UserError(Exception):
    """Something the user can put right: the message says what is wrong, where, and what to do."""


class ConfigError(UserError):
    """A config that cannot be run."""


class DataError(UserError):
    """An archive, index or image that is not what it should be."""


class TrainingError(UserError):
    """A training run that cannot go on."""


class OutOfMemoryError(TrainingError):
    """A batch that does not fit into memory."""


class Unfinished(Exception):
    """Work that was saved, and goes on when it is started again."""


class LeaveNow(BaseException):
    """The training is to be saved and left; not an Exception, so that no loss catches it."""


class DivergedError(TrainingError):
    """A loss that is no longer finite."""
