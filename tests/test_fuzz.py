"""Malformed files and values: a result or one clear line, whatever is changed in them (``tests/fuzz``)."""

from __future__ import annotations

import io
import json
import zipfile
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from recbole_esmr.errors import ConfigError, DataError, ESMRError
from recbole_esmr.simulation import FeedEnv, load_world, simulate
from recbole_esmr.simulation.environment_state import load_state, save_state
from tests.fuzz.attempt import fault
from tests.fuzz.mutation import mutated
from tests.fuzz.parsers import PARSERS

EXAMPLES = settings(deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
SLOW = {"dataset": 4, "config": 12, "arguments": 12, "draft": 12, "csv": 20, "esmr-release": 12, "ldos-comoda": 12}


@pytest.mark.parametrize("name", PARSERS)
def test_right_input_is_read(name):
    for seed in PARSERS[name].seeds:
        assert fault(name, seed) is None


@pytest.mark.parametrize("name", PARSERS)
def test_changed_input_is_read_or_refused_in_one_line(name):
    @settings(EXAMPLES, max_examples=SLOW.get(name, 40))
    @given(st.integers(0, 2**32))
    def tried(number):
        random = Random(number)
        files = mutated(random.choice(PARSERS[name].seeds), random)
        assert fault(name, files, seconds=20) is None

    tried()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines", "two lines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202eright to left", "\\u202eright to left"),
        ("ü 猫", "ü 猫"),
    ],
)
def test_a_message_is_one_line_that_a_terminal_shows_as_it_is(text, shown):
    assert str(ESMRError(text)) == shown


def test_a_long_message_keeps_its_beginning_and_its_mend():
    said = str(DataError("views.csv, line 3: " + "x" * 10_000 + ". Mend it."))
    assert len(said) < 1_010 and said.startswith("views.csv, line 3: xxx") and said.endswith("xxx. Mend it.")


# -- people.npz ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """The arrays of a right file of three people, and where it lies."""
    path = tmp_path_factory.mktemp("people") / "people.npz"
    env = FeedEnv(load_world("reference"), users=3, items=4, seed=1)
    env.reset()
    save_state(path, env, "0" * 64)
    with np.load(path) as content:
        return dict(content), path


def test_what_was_written_is_read_again(people):
    arrays, path = people
    found = load_state(path)
    assert (found.users, found.items, found.seed, found.log) == (3, 4, 1, "0" * 64)
    assert found.world == load_world("reference") and found.state["day"] == 1
    for name in ("state", "load", "pending", "active"):
        np.testing.assert_array_equal(found.state[name], arrays[name])


def _header(arrays, **changes):
    return np.array(json.dumps(json.loads(str(arrays["header"])) | changes))


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: {"state": arrays["state"][:2]},
        lambda arrays: {"load": arrays["load"][:, :3]},
        lambda arrays: {"load": arrays["load"] + 2},
        lambda arrays: {"state": np.array([0.1, np.nan, 0.2], dtype=np.float32)},
        lambda arrays: {"pending": np.array([0.1, np.inf, 0.2], dtype=np.float32)},
        lambda arrays: {"active": np.array(["yes", "no", "no"])},
        lambda arrays: {"active": np.array([None, 1, 2], dtype=object)},
        lambda arrays: {"day": np.array(0)},
        lambda arrays: {"day": np.array(1.5)},
        lambda arrays: {"day": np.array([1, 2])},
        lambda arrays: {"header": _header(arrays, log="mine")},
        lambda arrays: {"header": np.array("[" * 100_000)},
        lambda arrays: {"header": np.array(5)},
    ],
)
def test_a_state_in_which_nobody_can_be_is_refused(people, tmp_path, change):
    path = tmp_path / "people.npz"
    np.savez(path, **(people[0] | change(people[0])))
    with pytest.raises(DataError, match=r"people\.npz: (is not an environment state|holds a state in which nobody can be)"):
        load_state(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"users": 0}, "users is 0"),
        ({"users": "3"}, "users is '3'"),
        ({"users": 10**12}, "GiB of memory"),
        ({"items": 10**15}, "GiB of memory"),
        ({"items": 10**300}, "expected one below 2^63"),
        ({"user": 3}, "unknown key 'user'. Did you mean 'users'?"),
        ({"world": {"name": "mine"}}, "world: the key 'emotion_taxonomy' is missing"),
    ],
)
def test_a_header_is_checked_before_anything_is_made_of_it(people, tmp_path, changes, says):
    path = tmp_path / "people.npz"
    np.savez(path, **(people[0] | {"header": _header(people[0], **changes)}))
    with pytest.raises(ConfigError) as error:
        load_state(path)
    assert says in str(error.value)


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(-1,)", "(3.0,)", "3"])
def test_a_shape_that_the_bytes_have_not_is_refused(people, tmp_path, shape):
    arrays, right = people
    file = io.BytesIO()
    np.save(file, arrays["state"])
    with zipfile.ZipFile(right) as archive, zipfile.ZipFile(tmp_path / "people.npz", "w") as changed:
        for name in archive.namelist():
            member = file.getvalue().replace(b"(3,)", shape.encode()) if name == "state.npy" else archive.read(name)
            changed.writestr(name, member)
    with pytest.raises(DataError, match="is not an environment state"):
        load_state(tmp_path / "people.npz")


# -- worlds that no memory holds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ({"users": 10**12}, "1,000,000,000,000 people with 4 items need about"),
        ({"items": 10**12}, "3 people with 1,000,000,000,000 items need about"),
        ({"users": 10**6, "items": 10**6}, "need about"),
        ({"days": 10**12}, "the rows of 3 people on 1,000,000,000,000 days need about"),
        ({"days": 40_000}, "expected at most 36,525, a hundred years"),
        ({"users": 0}, "expected at least one of each"),
    ],
)
def test_a_world_that_no_memory_holds_is_refused_at_once(tmp_path, size, says):
    size = {"users": 3, "items": 4, "days": 2} | size
    with pytest.raises(ConfigError) as error:
        simulate(load_world("reference"), **size, seed=1, output=tmp_path / "mine", show_progress=False)
    assert says in str(error.value) and not (tmp_path / "mine").exists()
