"""Change files as people, spreadsheets, editors and attackers do: bytes, lines, cells, words of yaml, members of archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import struct
import zipfile
import zlib
from random import Random

import numpy as np

Files = dict[str, bytes]
"""Contents by name."""

CELLS = (
    *("", " ", "0", "1", "-1", "7", "1.5", "1,5", "1e5", "1e308", "1e400", "5e-324", "-0.0", "nan", "inf", "NA", "null", "true"),
    *("[PAD]", '"', '""', '"a\nb"', "a;b", "\t", "a\x0bb", "\x1c", "é", "猫", "e\u0301", "\u202eabc", "\u200b", "\ufeff", "\x00"),
    *("2024-03-24", "2024-03-24T25:00", "24.03.2024", "2024-13-01", "0001-01-01", "9999-12-31", "10000-01-01", "1677-09-21"),
    *("2024-03-24 21:00+99:00", "2024-03-24 21:00 Europe", "1711314000", "1711314000000", "-62135596800", "253402300800"),
    *("9" * 25, "9" * 400, "9223372036854775808", "20240324", "=cmd", "[1]", "{a}", "Europe/Berlin", "../etc", "UTC", "True"),
    *("happy", "angry", "churned", "x" * 70_000, "١٢", "½", "1_000", "0x10", "٫5", "\ud800"),
)
"""Cells that are mistaken for something else, or that something stumbles over."""

WORDS = (
    *("null", "~", "", "[]", "{}", "1", "0", "-1", "1.5", ".nan", ".inf", "-.inf", "1e308", "5e-324", "true", "no", "''", "'*'"),
    *(
        "[1, 2]",
        "[null]",
        "[[]]",
        "{a: b}",
        "{? [1]: 2}",
        "2024-01-01",
        "2024-01-01 00:00:00",
        "!!binary aGk=",
        "!!set {a}",
        "&a",
    ),
    *(
        "*a",
        "<<",
        "0x10",
        "0o17",
        "1_000",
        "12:30:45",
        "'\"'",
        "|",
        ">",
        "- a",
        "? a",
        "!!python/object:os.system",
        "é",
        "\ufeff",
    ),
    *(
        "999999999999",
        "9" * 400,
        "-99",
        "who",
        "mean",
        "happy",
        "general",
        "a" * 10_000,
        "%d",
        "%",
        "%Q",
        "..",
        "/",
        "*.csv",
        "\x00",
    ),
)
"""Words of yaml that are of another type than they look."""

ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7", "cp1252")
TYPES = ("|O", "<f8", "<f4", "<i8", "|b1", "<U9", "|S3", "<c16", "<M8[s]", "|V8", ">i2", "[('a', '<f8')]")


def mutated(files: Files, random: Random) -> Files:
    """One to four changes to some of the files."""
    files = dict(files)
    for _ in range(random.choice((1, 1, 2, 4))):
        name = random.choice(sorted(files))
        files[name] = _changed(name, files[name], random)
    return files


def _changed(name: str, content: bytes, random: Random) -> bytes:
    if random.random() < 0.1:
        return _bytes(content, random)
    if name.endswith(".gz"):
        try:
            return gzip.compress(_changed(name.removesuffix(".gz"), gzip.decompress(content), random), 1, mtime=0)
        except (OSError, EOFError, zlib.error):
            return _bytes(content, random)
    if name.endswith(".npz"):
        return _archive(content, random)
    if name.endswith(".pth"):
        return _checkpoint(content, random)
    text = content.decode("utf-8", "surrogateescape")
    if random.random() < 0.05:
        return text.encode(random.choice(ENCODINGS), "replace")
    change = _yaml if name.endswith((".yaml", ".txt")) else _table
    return change(text, random).encode("utf-8", "surrogatepass" if random.random() < 0.1 else "replace")


def _bytes(content: bytes, random: Random) -> bytes:
    data, at = bytearray(content), random.randrange(len(content) + 1)
    match random.randrange(5):
        case 0 if data:
            data[at % len(data)] ^= 1 << random.randrange(8)
        case 1:
            data[at:at] = random.choice((b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b'"', b"\xc3", random.randbytes(4)))
        case 2:
            del data[at:]
        case 3:
            del data[at : at + random.randrange(1, 40)]
        case _:
            data[at:at] = data[at // 2 : at]
    return bytes(data)


def _lines(text: str, random: Random) -> str:
    lines = text.split("\n")
    at = random.randrange(len(lines))
    match random.randrange(6):
        case 0:
            lines.insert(random.randrange(len(lines)), lines[at])
        case 1:
            lines.pop(at)
        case 2:
            lines.insert(at, "")
        case 3:
            lines = lines[: at + 1]
        case 4:
            lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
        case _:
            return text.replace("\n", random.choice(("\r\n", "\r", "\n\n")))
    return "\n".join(lines)


def _table(text: str, random: Random) -> str:
    separator = "\t" if "\t" in text else ","
    if random.random() < 0.25:
        return _lines(text, random)
    if random.random() < 0.05:
        return text.replace(separator, random.choice(";\t|, :"))
    lines = text.split("\n")
    at = random.randrange(len(lines))
    cells = lines[at].split(separator)
    place = random.randrange(len(cells))
    match random.randrange(6):
        case 0:
            cells.insert(place, random.choice(CELLS))
        case 1:
            cells.pop(place)
        case 2:
            cells[place] = random.choice(random.choice(lines).split(separator))
        case 3:  # the same, written otherwise
            cells[place] = random.choice(("{}.0", " {}", "{} ", "0{}", "+{}", "{}e0", '"{}"', "{},0", "-{}")).format(cells[place])
        case _:
            cells[place] = random.choice(CELLS)
    lines[at] = separator.join(cells)
    if random.random() < 0.15 and at and cells:  # a whole column
        rows = [line.split(separator) for line in lines]
        whole = [[*row[:place], cells[place % len(cells)], *row[place + 1 :]] if len(row) > place else row for row in rows[1:]]
        lines[1:] = [separator.join(row) for row in whole]
    return "\n".join(lines)


def _yaml(text: str, random: Random) -> str:
    if random.random() < 0.15:
        return _lines(text, random)
    if random.random() < 0.02:
        return text + "".join(f"\na{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(9))
    if random.random() < 0.02:
        return text + "\ndeep: " + "[" * random.choice((10, 1_000, 50_000))
    words = list(re.finditer(r"[\w.%/*-]+|\[[^\[\]]*\]|\{[^{}]*\}|'[^']*'|[:,&?!]", text))
    if not words:
        return random.choice(WORDS)
    word = random.choice(words)
    new = random.choice((*WORDS, random.choice(words)[0], word[0] * 2, word[0].upper()))
    return text[: word.start()] + new + text[word.end() :]


def _archive(content: bytes, random: Random) -> bytes:
    """A zip of arrays with another member, another shape or another type, packed again."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()[:20]}
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, ValueError, NotImplementedError, RuntimeError):
        return _bytes(content, random)
    if not members:
        return content
    name = random.choice(sorted(members))
    match random.randrange(7):
        case 0:
            members.pop(name)
        case 1:
            members[random.choice(("header.npy", "day.npy", "x", "../x.npy", "state.npy"))] = members[name]
        case 2 if name != "header.npy":
            members[name] = _packed(_array(random))
        case 3:
            members[name] = _bytes(members[name], random)
        case 4:
            members[name] = _headed(members[name], random)
        case _ if "header.npy" in members:
            text = members["header.npy"][128:].decode("utf-32-le", "replace")  # of a right file; of others something wrong
            members["header.npy"] = _packed(np.array(_yaml(text, random).replace("\0", "")))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return file.getvalue()


def _checkpoint(content: bytes, random: Random) -> bytes:
    """Another header of the safetensors file, or other bytes in it, under a first line with the right hash."""
    _, _, body = content.partition(b"\n")
    size = int.from_bytes(body[:8], "little")
    if size > len(body) or random.random() < 0.3:
        body = _bytes(body, random)
    elif random.random() < 0.4:  # the JSON that says what the numbers are stands among them
        body = body[: 8 + size] + _yaml(body[8 + size :].decode("latin-1"), random).encode("latin-1", "replace")
    else:
        header = _yaml(body[8 : 8 + size].decode("utf-8", "replace"), random).encode("utf-8", "replace")
        body = len(header).to_bytes(8, "little") + header + body[8 + size :]
    return b"recbole-esmr checkpoint 3 sha256=" + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _array(random: Random) -> np.ndarray:
    shape = random.choice(((), (0,), (1,), (3,), (4,), (3, 8), (3, 1), (1, 1, 1)))
    value = random.choice((0, 1, -1, 2.5, np.nan, np.inf, -np.inf, 1e308, True, "a", 2**62))
    return np.full(shape, value)


def _packed(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _headed(member: bytes, random: Random) -> bytes:
    """An array whose header says another shape or type than its bytes have."""
    shape = random.choice(
        ("(-1,)", "(10**15,)", "(1000000000000,)", "(3, 3000000000)", "()", "(0,)", "(3.0,)", "3", "(True,)", "('a',)")
    )
    kind = random.choice(TYPES)
    kind = kind if kind.startswith("[") else repr(kind)
    order = random.choice((True, False, 3))
    text = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + member[-random.randrange(1, 100) :]
