"""Which files a pattern matches: `*` and `?` within a name, `**` across folders (none, one or more), `[…]` one of some characters."""

import itertools
import os
import re
from collections.abc import Iterator

from apache_beam.io.filesystem import FileMetadata

from retrolabel.transforms.storage import beam_filesystems, is_local

_WILD = re.compile(r"((?:^|(?<=/))\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])")
_KINDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def files_matching(pattern: str) -> dict[str, FileMetadata]:
    """The files that a pattern matches, by their paths; those of this machine are named, not looked at.

    Beam is not asked for those: it passes over folders that may not be listed, links to folders and to nowhere, and names with a backslash,
    without a word. A name that is written in the pattern as it is matches, too.

    Raises:
        OSError, ValueError, ImportError: a folder cannot be listed, or the pattern cannot be understood.
    """
    if is_local(pattern):
        steps = (pattern + "*" if pattern.endswith("/") else pattern).split("/")
        return {path: FileMetadata(path, 0) for path in _below("", steps)}
    # Beam's `/**/` asks for a folder at least.
    joints = itertools.product(("/**/", "/"), repeat=pattern.count("/**/"))
    patterns = ["".join(itertools.chain(*zip(pattern.split("/**/"), (*joint, ""), strict=True))) for joint in joints]
    return {file.path: file for match in beam_filesystems().match(patterns) for file in match.metadata_list}


def pattern_regex(pattern: str) -> str:
    """A pattern as a regular expression, for `re.DOTALL`."""
    return "".join(_KINDS.get(piece) or (_one_of(piece) if number % 2 else re.escape(piece))
                   for number, piece in enumerate(_WILD.split(pattern)))  # fmt: skip


def _one_of(piece: str) -> str:
    negated = piece[1] == "!"
    characters = (c if c == "-" else re.escape(c) for c in piece[1 + negated : -1])
    return f"[{'^' if negated else ''}{''.join(characters)}]"


def _below(folder: str, steps: list[str]) -> Iterator[str]:
    """The files below a folder, which ends in a slash or is empty, that some steps of a pattern lead to."""
    step, *further = steps
    if "**" in step:
        whole = _compiled("/".join(steps))
        for parent, _, names in os.walk(folder or ".", onerror=_refused):
            for name in names:
                path = os.path.join(parent, name)
                path = path if folder else path[2:]
                if whole.fullmatch(path, len(folder)):
                    yield path
    elif not _WILD.search(step):
        if further:
            yield from _below(f"{folder}{step}/", further)
        elif _is_there(folder + step):
            yield folder + step
    else:
        named = _compiled(step)
        for entry in _entries(folder):
            if not (named.fullmatch(entry.name) or entry.name == step):
                continue
            if further and entry.is_dir():
                yield from _below(f"{folder}{entry.name}/", further)
            elif not further and not entry.is_dir():
                yield folder + entry.name


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder or ".") as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _refused(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern_regex(pattern), re.DOTALL)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no pattern: {error}") from None
