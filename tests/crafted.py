"""Checkpoints as somebody writes them who knows the format: right hashes around any content."""

from __future__ import annotations

import hashlib
import json

from recbole_esmr.checkpoint.container import Block, write_blocks
from recbole_esmr.checkpoint.tree import CONTENT, to_blocks


def around(path, body: bytes) -> None:
    """A file of any bytes behind a first line that is right."""
    path.write_bytes(f"recbole-esmr checkpoint 3 sha256={hashlib.sha256(body).hexdigest()}\n".encode() + body)


def safetensors(header, data: bytes = b"") -> bytes:
    """What a safetensors file is made of; the header may be any text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def of_json(path, text: str, **blocks: Block) -> None:
    """A file with any text in the place of the tree."""
    write_blocks(path, {CONTENT: Block("U8", (len(text.encode()),), text.encode()), **blocks})


def of_tree(path, tree) -> None:
    """A file with any tree."""
    write_blocks(path, to_blocks(tree))
