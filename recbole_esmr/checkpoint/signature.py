"""Signatures of checkpoints: ed25519, with keys as OpenSSL writes them (PEM).

A signature says who wrote a file, as far as the private key is theirs alone; the SHA-256 that it signs says what was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole_esmr.errors import CheckpointError, ConfigError
from recbole_esmr.outputs import expanded

_LONGEST_KEY = 100_000
"""Bytes that are read of a file with a key, which has a few hundred."""


def signature(text: bytes, key_file: str | Path) -> str:
    """``PUBLIC:SIGNATURE`` of a text, in hexadecimal digits.

    Raises:
        ConfigError: the file holds no private ed25519 key, or the package ``cryptography`` is missing.
    """
    key = signing_key(key_file)
    return f"{key.public_key().public_bytes_raw().hex()}:{key.sign(text).hex()}"


def check_signature(text: bytes, signed: str | None, trusted: str | Path | None) -> None:
    """Refuse a text that is wrongly signed, or not signed by who is trusted.

    A signature that nobody asks for is checked where ``cryptography`` is there, so that damage to it is seen.

    Args:
        text: what was signed.
        signed: what :func:`signature` gave; None where there is none.
        trusted: file of the public key; None trusts everybody.

    Raises:
        CheckpointError: by another key, wrong, or none at all.
        ConfigError: as of :func:`signature`, of the public key.
    """
    key = trusted_key(trusted).public_bytes_raw().hex() if trusted else None
    if signed is None:
        if key:
            raise CheckpointError(f"is not signed, and only what {trusted} signed is trusted. Have it signed with --sign.")
        return
    public, _, value = signed.partition(":")
    if key and public != key:
        raise CheckpointError(f"is signed by another key than {trusted}, and only that is trusted.")
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return  # nobody is trusted, or the key could not have been read
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(value), text)
    except InvalidSignature as error:
        raise CheckpointError("its signature is wrong: it is damaged, or somebody else wrote it. Copy the file again.") from error


def check_key_files(sign: Any, trust: Any) -> None:
    """Refuse keys that cannot be used, before the training whose checkpoint they are for."""
    if sign is not None:
        signing_key(sign)
    if trust is not None:
        trusted_key(trust)


def signing_key(path: str | Path) -> Any:
    """The private key of a PEM file.

    Raises:
        ConfigError: there is none, or the package ``cryptography`` is missing.
    """
    return _key(path, "sign", "private", "openssl genpkey -algorithm ed25519 -out KEY.pem")


def trusted_key(path: str | Path) -> Any:
    """The public key of a PEM file; raises as :func:`signing_key`."""
    return _key(path, "trust", "public", "openssl pkey -in KEY.pem -pubout -out PUBLIC.pem")


def _key(path: str | Path, option: str, kind: str, make: str) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ConfigError(f"{option}: signatures need the package cryptography: pip install 'recbole-esmr[sign]'") from error
    if not isinstance(path, str | Path):
        raise ConfigError(f"{option} is {path!r}; expected the path of a file with a {kind} key.")
    file = expanded(path)
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for, a device may have no end
            raise ConfigError(f"{option}: {path}: cannot be read (it is no file). Give a file with a {kind} key: {make}")
        with file.open("rb") as opened:
            content = opened.read(_LONGEST_KEY)
    except OSError as error:
        raise ConfigError(
            f"{option}: {path}: cannot be read ({error.strerror}). Give a file with a {kind} key: {make}"
        ) from error
    try:
        if kind == "private":
            key: Any = serialization.load_pem_private_key(content, password=None)
        else:
            key = serialization.load_pem_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{option}: {path}: is no {kind} key in PEM without a password. Make one: {make}") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey if kind == "private" else ed25519.Ed25519PublicKey):
        raise ConfigError(f"{option}: {path}: is a key of another kind than ed25519. Make one: {make}")
    return key
