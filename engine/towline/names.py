"""The rules for names: which are refused, and which two a store treats as equal.

The hostile ones are those that git refuses with ``core.protectHFS`` and ``core.protectNTFS`` on
(git's ``verify_path``, ``is_hfs_dotgit`` and ``is_ntfs_dotgit``), taken over for ``.towline``.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

RESERVED = (".git", ".towline")
_NTFS_SHORT = {"git~1", "towlin~1"}
# What HFS+ ignores in a name, from git's utf8.c, next_hfs_char().
_HFS_IGNORED = frozenset(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)
# Names of these characters are fit for use, whatever they are: most names need no further look.
_PLAIN = r"[\w(\[+@=,-][\w .()\[\]+@=,'-]*"
_PLAIN_NAME = re.compile(_PLAIN, re.ASCII)
_PLAIN_PATH = re.compile(rf"{_PLAIN}(?:/{_PLAIN})*", re.ASCII)
PLAIN_NAME_BYTES = _PLAIN.encode()
"""A pattern of names, in bytes, that have no `name_problem`; others may have none, too."""
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{device}{number}" for device in ("com", "lpt") for number in "123456789¹²³"]
)
_WINDOWS_FORBIDDEN = frozenset('<>:"|?*')


def path_problem(path: str) -> str | None:
    """Return why a path from outside is refused, or None where it is fit for use.

    Colons, question marks, quotes, spaces and any script pass: real asset names hold them.
    """
    if _PLAIN_PATH.fullmatch(path):
        return None
    if not path:
        return "is empty"
    if path.startswith("/"):
        return "is absolute"
    for name in path.split("/"):
        if problem := name_problem(name):
            return problem
    return None


def name_problem(name: str) -> str | None:
    """Return why one name of a path is refused, or None."""
    if _PLAIN_NAME.fullmatch(name):
        return None
    if name in ("", ".", ".."):
        return "has an empty name" if not name else f"has the name {name!r}"
    if "\\" in name or "/" in name:
        return "has a backslash or a slash in a name"
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        return "has a control character in a name"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "has a name that is not Unicode text"
    if name == ".towline":
        return (
            f"has the reserved name {name!r}, towline's folder on one machine; "
            f"remove it from the repository with git rm -r --cached {name}, commit and push"
        )
    if _is_reserved(name):
        return f"has the reserved name {name!r}"
    return None


def _is_reserved(name: str) -> bool:
    """Every spelling of the reserved names on a file system that folds, trims or shortens."""
    visible = "".join(c for c in name if ord(c) not in _HFS_IGNORED).casefold()
    if visible in RESERVED:
        return True
    trimmed = name.partition(":")[0].rstrip(". ").casefold()
    return trimmed in RESERVED or trimmed in _NTFS_SHORT


class NamePolicy(StrEnum):
    """Which paths a store holds equal, and which it cannot hold at all."""

    EXACT = "exact"
    FOLDS_CASE = "folds_case"
    NORMALISES = "normalises"
    FOLDS_CASE_AND_NORMALISES = "folds_case_and_normalises"
    PORTABLE = "portable"
    """Folds and normalises, and refuses what Windows cannot hold."""

    def key(self, path: str) -> str:
        """Return a text that is the same for two paths just where the store holds them equal."""
        match self:
            case NamePolicy.EXACT:
                return path
            case NamePolicy.FOLDS_CASE:
                return path.casefold()
            case NamePolicy.NORMALISES:
                return unicodedata.normalize("NFC", path)
            case NamePolicy.FOLDS_CASE_AND_NORMALISES | NamePolicy.PORTABLE:
                folded = unicodedata.normalize("NFD", path).casefold()
                return unicodedata.normalize("NFC", folded)

    def problem(self, path: str) -> str | None:
        """Return why the store cannot hold this path, or None."""
        if self is not NamePolicy.PORTABLE:
            return None
        for name in path.split("/"):
            if _WINDOWS_FORBIDDEN & set(name):
                return f"{name!r} contains a character that is not portable"
            if name != name.rstrip(". "):
                return f"{name!r} ends with a dot or a space"
            if name.partition(".")[0].rstrip().casefold() in _WINDOWS_DEVICES:
                return f"{name!r} is a reserved name on Windows"
        return None
