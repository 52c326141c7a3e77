"""Secrets at rest: AES-256-GCM, each bound to what it is for.

A sealed text is a version, the id of its key, a nonce and the ciphertext. What it is for (the
connection, its scheme, host and port) is authenticated with it: moved to another row, or its row
pointed at another host, it opens no more.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from towline_server.errors import CredentialUnreadable

_VERSION = b"\x01"
_ID_BYTES = 8
_NONCE_BYTES = 12


class Sealer:
    """Seals with the first key, opens with each: so keys can be replaced."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        keys = [_derived(secret) for secret in secret_keys]
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])

    def seal(self, plain: str, purpose: str) -> bytes:
        """Encrypt a text for one purpose."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = self._ciphers[self._current]
        return (
            _VERSION + self._current + nonce + cipher.encrypt(nonce, plain.encode(), _aad(purpose))
        )

    def open(self, sealed: bytes, purpose: str) -> str:
        """Decrypt a text.

        Raises:
            CredentialUnreadable: it was altered, was for another purpose, or its key is gone.
        """
        rest = sealed[len(_VERSION) :]
        key_id, rest = rest[:_ID_BYTES], rest[_ID_BYTES:]
        cipher = self._ciphers.get(key_id)
        if sealed[: len(_VERSION)] != _VERSION or cipher is None:
            raise CredentialUnreadable
        try:
            plain = cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _aad(purpose))
        except (InvalidTag, ValueError):
            raise CredentialUnreadable from None
        return plain.decode()

    def resealed(self, sealed: bytes | None, purpose: str) -> bytes | None:
        """Return a sealed text, sealed again with the first key; None: it is, or there is none.

        Raises:
            CredentialUnreadable: as `open`.
        """
        if sealed is None or sealed[len(_VERSION) : len(_VERSION) + _ID_BYTES] == self._current:
            return None
        return self.seal(self.open(sealed, purpose), purpose)


def load_or_make_key(path: Path) -> str:
    """Return the secret key in a file that its owner alone can read; it is made if missing."""
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    made.touch(mode=0o600)
    made.write_text(secrets.token_urlsafe(48) + "\n", "ascii")
    try:
        # A link fails where a server that started beside this one was faster: then its key counts.
        path.hardlink_to(made)
    except FileExistsError:
        pass
    finally:
        made.unlink()
    return path.read_text("ascii").strip()


def _derived(secret: str) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"towline stored credentials")
    return kdf.derive(secret.encode())


def _key_id(key: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(b"towline key id\0" + key)
    return digest.finalize()[:_ID_BYTES]


def _aad(purpose: str) -> bytes:
    return b"towline\0" + purpose.encode()
