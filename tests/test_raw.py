"""What lies at a path instead of a text file: a folder, a pipe, a loop of links, an archive, a line without end."""

from __future__ import annotations

import gzip
import os
import zipfile

import pytest

from recbole_esmr.data.importers.table import read_table
from recbole_esmr.data.reading import raw
from recbole_esmr.data.reading.atomic import read_atomic_file
from recbole_esmr.errors import DataError

VIEWS = b"user_id:token,item_id:token\na,x\nb,y\n"
CONFIG = {"field_separator": ",", "encoding": "utf-8"}


def _zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("views.csv", VIEWS)


def _loop(path):
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


KINDS = [
    (lambda path: path.mkdir(), "is a folder."),
    (os.mkfifo, "is a pipe or a device, and no file."),
    (lambda path: path.symlink_to("/dev/zero"), "is a pipe or a device, and no file."),
    (_loop, "cannot be read (Too many levels of symbolic links)."),
    (lambda path: path.symlink_to("nowhere"), "no such file."),
    (_zip, "is a zip archive or an Excel file. Unpack it"),
    (lambda path: path.write_bytes(gzip.compress(VIEWS)), "is packed with gzip. Unpack it"),
    (lambda path: path.write_bytes(b"%PDF-1.7\n"), "is a PDF."),
    (lambda path: path.write_bytes(b"PAR1\x15\x04"), "is a Parquet file."),
    (lambda path: path.write_bytes(VIEWS + b"c\x00,z\n"), "holds"),
    (lambda path: path.write_bytes(b""), "is empty."),
]


@pytest.mark.parametrize("read", [lambda path: read_table([path]), lambda path: read_atomic_file(path, CONFIG)])
@pytest.mark.parametrize(("make", "says"), KINDS)
def test_what_is_no_text_file_is_named(tmp_path, read, make, says):
    path = tmp_path / "views.csv"
    make(path)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}") and says in str(error.value)


def test_a_line_of_ten_megabytes_is_one_line(tmp_path):
    path = tmp_path / "views.csv"
    path.write_bytes(b"x" * 10_000_000)
    with pytest.raises(DataError, match=r"views\.csv, line 1: .* more than 131,072 characters"):
        read_table([path])
    with pytest.raises(DataError, match=r"views\.csv, line 1: the header cell 'xxx.* is not name:type"):
        read_atomic_file(path, CONFIG)


def test_a_cell_that_is_too_long_for_csv_is_said_to_be_so(tmp_path):
    path = tmp_path / "views.csv"
    path.write_bytes(b"who,what\na,x\nb," + b"y" * 200_000 + b"\n")
    with pytest.raises(DataError, match=r"line 3: a cell has more than 131,072 characters\. Shorten it"):
        read_table([path])


def test_a_file_that_unpacks_to_more_than_memory_holds_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "views.csv.gz"
    path.write_bytes(gzip.compress(b"\0" * 10_000_000))
    monkeypatch.setattr(raw, "free_memory", lambda: 1 << 20)
    with pytest.raises(DataError, match="takes 8 times as much to read"):
        read_table([path])
