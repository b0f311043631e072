"""Secrets at rest: sealed with AES-256-GCM under a master key that the database never sees."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trackstream.storage.errors import MasterKeyError

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.settings import Settings

__all__ = ["MasterKey"]

_KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = b"\x01"


class MasterKey:
    """Seals and opens the secrets of keys.

    A sealed secret is one byte of format, the nonce, the ciphertext with its tag. The app and the
    key's id are bound to it: moved to another row, it does not open.

    Args:
        key: 32 random bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise MasterKeyError(f"a master key has {_KEY_BYTES} bytes, this one {len(key)}")
        self._key = key
        self._cipher = AESGCM(key)

    @classmethod
    def load(cls, settings: Settings) -> MasterKey:
        """The key of the settings, else that of `master.key` in the data directory, made if absent.

        Raises:
            MasterKeyError: It is not 32 bytes in hex, or its file cannot be used.
        """
        if settings.master_key:
            return cls(_parsed(settings.master_key, "TRACKSTREAM_MASTER_KEY"))
        path = settings.data_dir / "master.key"
        try:
            if not path.exists():
                _make(path)
            return cls(_parsed(path.read_text("ascii"), str(path)))
        except (OSError, UnicodeDecodeError) as error:
            raise MasterKeyError(f"cannot use the master key in {path}: {error}") from error

    def derived(self, purpose: str) -> str:
        """A secret in hex for this one purpose: all who have the master key come to the same."""
        return hmac.new(self._key, purpose.encode(), hashlib.sha256).hexdigest()

    def seal(self, secret: str, *, app_id: str, key_id: str) -> bytes:
        """The secret, sealed for this key of this app."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), _FORMAT + _bound_to(app_id, key_id))
        return _FORMAT + nonce + sealed

    def open(self, sealed: bytes, *, app_id: str, key_id: str) -> str:
        """The secret that was sealed.

        Raises:
            MasterKeyError: It was sealed by another master key, for another key, or was changed.
        """
        # The format is bound, too: a byte of another format is as wrong as any other.
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            secret = self._cipher.decrypt(nonce, body, sealed[:1] + _bound_to(app_id, key_id))
        except (InvalidTag, ValueError) as error:
            raise MasterKeyError(
                f"the secret of key {key_id} does not open with this master key: set "
                "TRACKSTREAM_MASTER_KEY to the one that it was sealed with, or make a new key"
            ) from error
        return secret.decode()


def _bound_to(app_id: str, key_id: str) -> bytes:
    return f"{app_id}\0{key_id}".encode()


def _parsed(text: str, name: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise MasterKeyError(f"{name} takes {_KEY_BYTES} bytes in hex")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # Linked into place whole; of several starters the first wins and all read the same.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
