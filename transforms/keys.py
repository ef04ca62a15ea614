"""Keys of pseudonyms: where they are kept, never what they are, is part of a plan."""

import dataclasses
import os

from retrolabel.configs.model import Secret
from retrolabel.schemas.errors import ConfigError, InputError
from retrolabel.transforms import storage
from retrolabel.transforms.kernels.protect import key_id

MIN_BYTES = 32
"""Of a key: 128 bits and more, however it is spelled."""


def read_key(secret: Secret) -> bytes:
    """The key itself, as the bytes of its text: the variable, or the first line of the file.

    Raises:
        ConfigError: it is not where it should be, or too short.
    """
    if secret.env is not None:
        place, text = f"the variable {secret.env!r} of the environment", os.environ.get(secret.env, "").encode()
    else:
        place = f"the file {secret.file!r}"
        try:
            text = storage.read_bytes(secret.file or "").partition(b"\n")[0]
        except OSError as error:
            raise ConfigError(f"privacy.key: cannot read {place}: {type(error).__name__}") from None
    key = text.strip()
    if len(key) < MIN_BYTES:
        found = f"holds {len(key)} characters" if key else "is empty or not there"
        raise ConfigError(f"privacy.key: {place} {found}; a key has at least {MIN_BYTES}. Hint: openssl rand -hex 32")
    return key


@dataclasses.dataclass(frozen=True)
class KeyPlace:
    """Where the key of a build is, and what it is called."""

    secret: Secret
    id: str

    def read(self) -> bytes:
        """The key, on whichever machine a step runs.

        Raises:
            InputError: it is not the one that the build began with.
        """
        key = read_key(self.secret)
        if key_id(key) != self.id:
            raise InputError("the key of 'privacy' changed while the build ran: nothing was published; build again")
        return key
