"""What can go wrong for a reason that a person can mend, and the exit code that tells a scheduler which."""


class RetrolabelError(Exception):
    """A mistake or a condition that the user can mend; shown as its text alone, never as a traceback."""

    exit_code = 1


class ConfigError(RetrolabelError):
    """The config, a contract or a command-line argument is wrong."""

    exit_code = 2


class ValidationError(RetrolabelError):
    """The build ran, and its result must not be published: too many rejected lines, an identity that does not hold."""

    exit_code = 3


class InputError(RetrolabelError):
    """Input is missing, or it changed while it was read."""

    exit_code = 4


class ConflictError(RetrolabelError):
    """Another build published a different result at the same time."""

    exit_code = 5


class IntegrityError(RetrolabelError):
    """What is stored is not what its manifest says."""

    exit_code = 6


class StorageError(RetrolabelError):
    """The storage is full, or refuses to be written."""

    exit_code = 7
