"""The file of a checkpoint: a first line of text with the SHA-256 of all that follows, then blocks of numbers as safetensors.

The hash is checked before anything else is read, so a file that was damaged is refused whatever the damage. It shows accidents
alone: whoever changes a file on purpose can write its hash anew. What is inside is checked by whoever reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import safetensors

from recbole_esmr.checkpoint.signature import check_signature, signature
from recbole_esmr.errors import CheckpointError
from recbole_esmr.writing import written_whole

FORMAT = 3
"""Version of the file's format. 1 and 2 were zip files of ``torch.save``, which are read by unpickling."""

_LINE = re.compile(rb"(recbole-esmr checkpoint 3 sha256=[0-9a-f]{64})(?: ed25519=([0-9a-f]{64}:[0-9a-f]{128}))?\n")
_ANY_VERSION = re.compile(rb"recbole-esmr checkpoint ([0-9]{1,9}) ")
_LONGEST_LINE = 512


@dataclass(frozen=True)
class Block:
    """Numbers of one type.

    Attributes:
        dtype: safetensors' name of the type, ``F32`` for one.
        shape: of the array that they fill.
        data: their bytes, little-endian, in the order of the last axis first.
    """

    dtype: str
    shape: tuple[int, ...]
    data: Any


def write_blocks(path: str | Path, blocks: Mapping[str, Block], sign: str | Path | None = None) -> None:
    """Write a file, whole or not at all; the blocks are hashed while they are written and never copied.

    Args:
        sign: file of the private key that signs it; None signs nothing.
    """
    digest = hashlib.sha256()
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        file.write(_first_line(digest, sign))  # its length does not depend on the hash
        for part in parts(blocks):
            digest.update(part)
            file.write(part)
        file.seek(0)
        file.write(_first_line(digest, sign))


def read_blocks(path: str | Path, trust: str | Path | None = None) -> dict[str, Block]:
    """Read a file that :func:`write_blocks` wrote.

    Args:
        trust: file of the public key that must have signed it; None takes any file.

    Raises:
        CheckpointError: there is no such file, it is something else, of another version, larger than the memory, or not as it was
            written.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint. Give the path of a file that recbole-esmr wrote.")
    try:
        with open(path, "rb") as file:
            size, free = os.fstat(file.fileno()).st_size, psutil.virtual_memory().available
            if size > free:
                raise CheckpointError(
                    f"{path}: has {size / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are free. Use a larger machine."
                )
            line = file.readline(_LONGEST_LINE)
            found = _LINE.fullmatch(line)
            if found is None:
                raise CheckpointError(f"{path}: {_what_it_is(line)}")
            content = file.read()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}). Make it readable, or give another.") from error
    if _said(hashlib.sha256(content)) != found[1]:
        raise CheckpointError(
            f"{path}: its content has another SHA-256 than its first line says, so it is truncated or damaged. "
            "Copy the file again, or train again."
        )
    try:
        check_signature(found[1], found[2].decode() if found[2] else None, trust)
        return {name: Block(view["dtype"], tuple(view["shape"]), view["data"]) for name, view in safetensors.deserialize(content)}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: what follows its first line is no safetensors file ({error}). Train again.") from error


def _said(digest: Any) -> bytes:
    """What the first line says of the content."""
    return f"recbole-esmr checkpoint {FORMAT} sha256={digest.hexdigest()}".encode()


def _first_line(digest: Any, sign: str | Path | None) -> bytes:
    said = _said(digest)
    return said + (f" ed25519={signature(said, sign)}\n" if sign else "\n").encode()


def parts(blocks: Mapping[str, Block]) -> Iterator[Any]:
    """The parts of a safetensors file, one after the other.

    safetensors' own writer copies all numbers before it writes, and cannot write behind a first line.
    """
    header, start = {}, 0
    for name, block in blocks.items():
        end = start + memoryview(block.data).nbytes
        header[name] = {"dtype": block.dtype, "shape": list(block.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for block in blocks.values():
        yield block.data


def _what_it_is(line: bytes) -> str:
    """What a file is that begins with such a line, and what to do."""
    version = _ANY_VERSION.match(line)
    if version and int(version[1]) > FORMAT:
        return f"is a checkpoint of format {int(version[1])}, and this recbole-esmr reads format {FORMAT}. Upgrade recbole-esmr."
    if line.startswith((b"PK", b"\x80")):
        return (
            "is a pickle, written by RecBole itself or by recbole-esmr before 0.2. Pickles can run code and are never loaded. "
            "Train again with this version."
        )
    if not line:
        return "is empty. Copy the file again, or train again."
    if line.startswith(b"recbole-esmr"):
        return "the first line is damaged, or of another version. Copy the file again, or train again."
    return "is no checkpoint of recbole-esmr. Give a file that `recbole-esmr run` or `pretrain` wrote."
