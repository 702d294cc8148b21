"""An artifact: what it holds, what it refuses, and what it does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from recbole_esmr.errors import CheckpointError, ConfigError
from recbole_esmr.serving.artifact import MODEL_FILE, load_artifact, save_artifact


def test_an_artifact_holds_nobody(trained, artifact, tmp_path):
    """No person's id, and no array with a row for each of them."""
    save_artifact(artifact, tmp_path / "model")
    content = b"".join(path.read_bytes() for path in (tmp_path / "model").iterdir())
    dataset = trained[1][2]
    names = [str(name) for name in dataset.field2id_token["user_id"][1:]]
    assert not any(f'"{name}"'.encode() in content for name in names)
    from recbole_esmr.checkpoint.container import read_blocks

    people = dataset.user_num
    shapes = [block.shape for block in read_blocks(tmp_path / "model" / MODEL_FILE).values()]
    assert not any(people in shape or people - 1 in shape for shape in shapes)


def test_an_artifact_comes_back_as_it_was(artifact, tmp_path):
    written = save_artifact(replace(artifact, keys=dict(artifact.keys)), tmp_path / "model")
    again = load_artifact(tmp_path / "model")
    assert again.fingerprint == written.fingerprint and again.card() == written.card()
    assert json.loads((tmp_path / "model" / "artifact.json").read_text())["emotions"] == list(artifact.taxonomy.labels)


def test_a_damaged_or_foreign_artifact_is_refused(artifact, tmp_path):
    save_artifact(artifact, tmp_path / "model")
    path = tmp_path / "model" / MODEL_FILE
    content = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"holds no model\.esmr"):
        load_artifact(tmp_path)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="another SHA-256"):
        load_artifact(tmp_path / "model")
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="min_engagement is 2"):
        load_artifact(tmp_path / "model", {"min_engagement": 2})


def test_an_artifact_loads_without_recbole(artifact, tmp_path):
    save_artifact(artifact, tmp_path / "model")
    line = (
        "import sys, time, torch; torch.set_num_threads(1); start = time.perf_counter();"
        "from recbole_esmr.serving.artifact import load_artifact; load_artifact(sys.argv[1]);"
        "print([name for name in ('recbole', 'dowhy', 'lightgbm', 'matplotlib', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", line, str(tmp_path / "model")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
