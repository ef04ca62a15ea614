"""What is left when a person was forgotten: enough to keep them out, and nothing that says who they were."""

import pydantic

from retrolabel.schemas.manifest import FORMAT_VERSION, AtRest


class ForgottenSubject(pydantic.BaseModel):
    """One value of one field by which a person was known."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    field: str
    """As contracts name it."""
    mark: str
    """Of the value under a key (`kernels.forgotten.mark_of`): who lacks the key cannot tell whose it is, nor try names out."""


class Receipt(AtRest):
    """Who was forgotten, as far as it takes to drop their rows from later builds. It is stored under its own digest, and never changed."""

    format_version: int = FORMAT_VERSION
    dataset: str
    key_id: str
    """Of the key that made the marks."""
    subjects: list[ForgottenSubject]
    """In the order of field and mark."""

    @property
    def id(self) -> str:
        """What manifests and versions call it."""
        return self.digest[:16]
