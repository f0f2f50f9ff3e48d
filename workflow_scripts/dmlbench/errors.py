"""The errors a user can cause. Scripts print them as one line; everything else is a bug."""


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
