"""Documents that a client keeps for the server: nobody but the server can read, forge or change them."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

from recbole_esmr.errors import ConfigError, DataError, MissingPackageError
from recbole_esmr.writing import written_whole

LONGEST = 400_000
"""Characters of a sealed document, at most."""

LARGEST = 4_000_000
"""Bytes of what is in it."""


class Seal:
    """Seals and opens documents with a key (Fernet: AES in CBC mode, authenticated by HMAC-SHA256).

    Args:
        keys: of the base64 form of ``cryptography.fernet.Fernet.generate_key``; the first seals, all open, so that a key can be
            replaced while documents of the old one are still about.

    Raises:
        MissingPackageError: cryptography is not installed.
        ConfigError: a key that is none.
    """

    def __init__(self, *keys: bytes) -> None:
        fernet = _fernet()
        try:
            self._key = fernet.MultiFernet([fernet.Fernet(key) for key in keys])
        except ValueError as error:
            mend = "Leave the file out, and one is made."
            raise ConfigError(f"a key to seal documents with is 32 bytes in url-safe base64. {mend}") from error
        self._invalid = fernet.InvalidToken

    @classmethod
    def of_file(cls, path: str | Path) -> Seal:
        """With the keys of a file, one a line, the newest first; a file that is not there is made, for its owner's eyes alone.

        Raises:
            ConfigError: the file holds something else, or cannot be read.
        """
        path = Path(path)
        if not path.exists():
            with written_whole(path) as temporary:
                os.chmod(temporary, 0o600)
                temporary.write_bytes(_fernet().Fernet.generate_key() + b"\n")
        try:
            lines = path.read_bytes().split()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give a file of keys, one a line.") from error
        if not lines:
            raise ConfigError(f"{path}: holds no key. Take the file away, and one is made.")
        return cls(*lines)

    def closed(self, kind: str, document: Any) -> str:
        """A document, sealed; ``kind`` says what it is, and it can be opened as nothing else.

        Raises:
            DataError: it is larger than what :meth:`opened` takes.
        """
        text = json.dumps([kind, document], separators=(",", ":"), allow_nan=False).encode()
        sealed = str(self._key.encrypt(zlib.compress(text)).decode())
        if len(text) > LARGEST or len(sealed) > LONGEST:
            raise DataError(f"a {kind} of {len(text):,} bytes is too large to be sealed. Send fewer items with shorter names.")
        return sealed

    def opened(self, kind: str, sealed: Any, where: str) -> Any:
        """The document.

        Raises:
            DataError: it was sealed by another key or as another kind, or has been changed.
        """
        mend = "Send back what the server gave, unchanged."
        if not isinstance(sealed, str) or len(sealed) > LONGEST:
            raise DataError(f"{where}: expected a text of at most {LONGEST:,} characters that this server has sealed. {mend}")
        try:
            packed = self._key.decrypt(sealed.encode())
        except (self._invalid, UnicodeEncodeError):
            raise DataError(f"{where}: is not sealed by this server, or was changed. {mend}") from None
        opener = zlib.decompressobj()
        found = json.loads(opener.decompress(packed, LARGEST))
        if found[0] != kind:
            raise DataError(f"{where}: is a sealed {found[0]}; expected a {kind}. {mend}")
        return found[1]


def _fernet() -> Any:
    try:
        from cryptography import fernet
    except ImportError as error:
        raise MissingPackageError("sealed profiles and receipts need cryptography: pip install 'recbole-esmr[serve]'.") from error
    return fernet
