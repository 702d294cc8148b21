"""Signed checkpoints: only what a trusted key signed is read, where one is trusted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from recbole_esmr.checkpoint import load_checkpoint, save_checkpoint
from recbole_esmr.checkpoint.signature import check_key_files
from recbole_esmr.cli import main
from recbole_esmr.errors import CheckpointError, ConfigError
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from tests.test_checkpoint_file import small


def _private(key, password=None):
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)


def _public(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def keys(tmp_path):
    """Files mine.pem, mine.pub, other.pem and other.pub."""
    for name in ("mine", "other"):
        key = ed25519.Ed25519PrivateKey.generate()
        (tmp_path / f"{name}.pem").write_bytes(_private(key))
        (tmp_path / f"{name}.pub").write_bytes(_public(key))
    return tmp_path


def test_what_is_signed_is_read_by_who_trusts_the_key(keys):
    save_checkpoint("a.pth", small(), sign=keys / "mine.pem")
    assert load_checkpoint("a.pth", trust=keys / "mine.pub").training == load_checkpoint("a.pth").training == small().training
    with pytest.raises(CheckpointError, match=r"a\.pth: is signed by another key than .*other\.pub"):
        load_checkpoint("a.pth", trust=keys / "other.pub")
    save_checkpoint("b.pth", small())
    with pytest.raises(CheckpointError, match=r"b\.pth: is not signed, and only what .*mine\.pub signed is trusted"):
        load_checkpoint("b.pth", trust=keys / "mine.pub")


def test_a_signature_belongs_to_one_content(keys):
    """Somebody who copies my signature to their file, or my key's name before theirs, is not me."""
    save_checkpoint("mine.pth", small(), sign=keys / "mine.pem")
    save_checkpoint("theirs.pth", small(model="SASRec"), sign=keys / "other.pem")
    mine, theirs = (Path(name).read_bytes().split(b"\n", 1) for name in ("mine.pth", "theirs.pth"))
    for line in (
        theirs[0].split(b" ed25519=")[0] + b" ed25519=" + mine[0].split(b" ed25519=")[1],
        theirs[0].replace(theirs[0].split(b" ed25519=")[1][:64], mine[0].split(b" ed25519=")[1][:64]),
    ):
        Path("a.pth").write_bytes(line + b"\n" + theirs[1])
        with pytest.raises(CheckpointError, match=r"a\.pth: its signature is wrong"):
            load_checkpoint("a.pth", trust=keys / "mine.pub")


def test_every_flipped_bit_of_a_signed_first_line_is_refused(keys):
    save_checkpoint("a.pth", small(), sign=keys / "mine.pem")
    with open("a.pth", "r+b") as file:
        line = file.readline()
        for place, byte in enumerate(line):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
                with pytest.raises(CheckpointError):
                    load_checkpoint("a.pth")
            os.pwrite(file.fileno(), bytes([byte]), place)


def test_keys_that_cannot_be_used_are_refused_with_the_command_that_makes_one(keys):
    (keys / "empty.pem").write_text("")
    (keys / "rsa.pem").write_bytes(_private(rsa.generate_private_key(65537, 2048)))
    (keys / "locked.pem").write_bytes(_private(ed25519.Ed25519PrivateKey.generate(), b"secret"))
    for name, says in (
        ("none.pem", "cannot be read (No such file or directory)"),
        ("", "cannot be read"),
        ("empty.pem", "is no private key in PEM without a password"),
        ("mine.pub", "is no private key in PEM without a password"),
        ("locked.pem", "is no private key in PEM without a password"),
        ("rsa.pem", "is a key of another kind than ed25519"),
    ):
        with pytest.raises(ConfigError, match="openssl genpkey -algorithm ed25519") as caught:
            check_key_files(keys / name if name else str(keys), None)
        assert says in str(caught.value)
    with pytest.raises(ConfigError, match=r"trust: .*mine\.pem: is no public key.*openssl pkey -in KEY.pem -pubout"):
        check_key_files(None, keys / "mine.pem")
    with pytest.raises(ConfigError, match="sign is 3; expected the path"):
        check_key_files(3, None)


def test_without_cryptography_the_extra_is_named(keys, monkeypatch):
    save_checkpoint("a.pth", small(), sign=keys / "mine.pem")
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"] + ["cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert load_checkpoint("a.pth").model == "BPR"
    for use in ({"sign": keys / "mine.pem"}, {"trust": keys / "mine.pub"}):
        with pytest.raises(ConfigError, match=r"pip install 'recbole-esmr\[sign\]'"):
            check_key_files(**{"sign": None, "trust": None, **use})


def test_runs_sign_and_loading_trusts(keys, quick, capsys):
    base = {key: quick[key] for key in ("data_path", "show_progress", "state")} | {"epochs": 1}
    signed = run_recbole("BPR", "small", config_dict={**base, "sign": str(keys / "mine.pem")}, arguments=[])["checkpoint"]
    bare = run_recbole("BPR", "small", config_dict={**base, "trust": str(keys / "mine.pub")}, arguments=[])["checkpoint"]
    kept = load_checkpoint(signed).config
    assert not {"sign", "trust"} & set(kept) and "mine.pem" not in str(kept)
    config, *_ = load_data_and_model(signed, {"trust": str(keys / "mine.pub")})
    assert config["sign"] is None
    with pytest.raises(CheckpointError, match="is not signed"):
        load_data_and_model(bare, {"trust": str(keys / "mine.pub")})
    words = [f"--{key}={value}" for key, value in base.items()]
    assert main(["run", "--model=BPR", "--dataset=small", f"--resume={bare}", f"--trust={keys / 'mine.pub'}", *words]) == 2
    assert "is not signed, and only what" in capsys.readouterr().err
    assert main(["run", "--model=BPR", "--dataset=small", "--sign=none.pem", *words]) == 2
    assert "sign: none.pem: cannot be read" in capsys.readouterr().err


def test_a_header_cannot_name_a_key(keys, quick):
    """A file that says whom to trust would trust itself, and one that names a key would have it used."""
    base = {key: quick[key] for key in ("data_path", "show_progress", "state")} | {"epochs": 1}
    whole = load_checkpoint(run_recbole("BPR", "small", config_dict=base, arguments=[])["checkpoint"])
    whole.config.update(sign=str(keys / "mine.pem"), trust="nowhere")
    save_checkpoint("a.pth", whole)
    config, *_ = load_data_and_model("a.pth")
    assert config["sign"] is None and config["trust"] is None
