"""What comes from a client is held against the contract: a wrong event is refused with what and where, and touches nobody."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.policy.bandit import LinUCB
from recbole_esmr.policy.contract import Contract
from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.policy.untrained import Popular, Random
from tests.feeds import esmr_policy, evening_of, model_of, morning_of, names_of

PEOPLE, ITEMS, LABELS = np.array(["u1", "u2", "u3"]), np.array(["a", "b", "c", "d"]), ("happy", "angry")
CONTRACT = Contract.of(PEOPLE, ITEMS, labels=LABELS, columns=("scrolling_time", "churned", "valence"))


def _evening(**changed) -> Feedback:
    right = Feedback(
        day=5,
        active=np.array([True, True, False]),
        slates=np.array([[0, 1, -1], [2, 3, 0], [-1, -1, -1]]),
        watch_ratio=np.array([[0.5, 0.0, 0.0], [1.0, 0.25, 0.0], [0.0, 0.0, 0.0]]),
        emotion=np.array(["happy", "", "angry"]),
        behaviour={"scrolling_time": np.array([1.0, np.nan, 3.0]), "churned": np.array([0, 0, 1]), "likes": np.arange(3)},
    )
    return replace(right, **changed)


def _with(field: str, place, value) -> Feedback:
    """The right evening with one value of one person changed."""
    array = _evening().behaviour[field].astype(float) if field in _evening().behaviour else getattr(_evening(), field).copy()
    array = array.astype(object) if field == "emotion" else array
    array[place] = value
    return (
        _evening(behaviour={**_evening().behaviour, field: array})
        if field in _evening().behaviour
        else _evening(**{field: array})
    )


def test_a_right_evening_is_read_whole():
    assert CONTRACT.wrong(_evening()).empty
    assert CONTRACT.after(_evening()).day == 6
    right, wrong = CONTRACT.without_wrong(_evening())
    assert wrong.empty and right == right and np.array_equal(right.slates, _evening().slates)
    ints = _evening(watch_ratio=np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]]), emotion=np.array(["happy", "", ""], dtype=object))
    assert CONTRACT.wrong(ints).empty


OF_A_PERSON = [
    ("watch_ratio", (1, 1), np.nan, "watch_ratio of 'u2' (row 1) in place 1 is nan; expected a number from 0 to 1"),
    ("watch_ratio", (1, 1), np.inf, "place 1 is inf; expected a number from 0 to 1"),
    ("watch_ratio", (1, 1), -np.inf, "place 1 is -inf; expected a number from 0 to 1"),
    ("watch_ratio", (1, 1), 1e30, "place 1 is 1e+30; expected a number from 0 to 1"),
    ("watch_ratio", (1, 1), 100.0, "place 1 is 100.0; expected a number from 0 to 1"),
    ("watch_ratio", (1, 1), -100.0, "place 1 is -100.0; expected a number from 0 to 1"),
    ("watch_ratio", (1, 1), -1.0, "place 1 is -1.0; expected a number from 0 to 1"),
    ("watch_ratio", (0, 2), 0.5, "watch_ratio of 'u1' (row 0) in place 2 is 0.5; expected 0 where nothing was shown"),
    ("watch_ratio", (0, 2), np.nan, "in place 2 is nan; expected 0 where nothing was shown"),
    ("slates", (1, 1), 4, "slates of 'u2' (row 1) in place 1 is 4; expected a number of one of the 4 items"),
    ("slates", (1, 1), -2, "place 1 is -2; expected a number of one of the 4 items, from 0 on, or -1"),
    ("slates", (1, 1), 2**40, "place 1 is 1099511627776; expected a number of one of the 4 items"),
    ("slates", (1, 1), 2, "place 1 is 2; expected each item once in a slate"),
    ("slates", (2, 0), 1, "slates of 'u3' (row 2) in place 0 is 1; expected -1, for who is not active is shown nothing"),
    ("emotion", 1, "hapy", "emotion of 'u2' (row 1) is 'hapy'; expected a label of the taxonomy, or '' without a report"),
    ("emotion", 1, "Happy", "Did you mean 'happy'?"),
    ("emotion", 1, "happy ", "Did you mean 'happy'?"),
    ("emotion", 1, None, "emotion of 'u2' (row 1) is None"),
    ("emotion", 1, np.nan, "emotion of 'u2' (row 1) is nan"),
    ("emotion", 1, 3, "emotion of 'u2' (row 1) is 3"),
    (
        "scrolling_time",
        1,
        np.inf,
        "behaviour 'scrolling_time' of 'u2' (row 1) is inf; expected a number from -1e+15 to 1e+15, or nan",
    ),
    ("scrolling_time", 1, 1e30, "behaviour 'scrolling_time' of 'u2' (row 1) is 1e+30"),
    ("churned", 1, 0.5, "behaviour 'churned' of 'u2' (row 1) is 0.5; expected 0 or 1"),
    ("churned", 1, -1, "expected 0 or 1"),
]


@pytest.mark.parametrize(("field", "place", "value", "words"), OF_A_PERSON)
def test_a_persons_wrong_value_is_named_and_can_be_left_out(field, place, value, words):
    evening = _with(field, place, value)
    with pytest.raises(DataError) as refused:
        CONTRACT.after(evening)
    assert words in str(refused.value) and str(refused.value).startswith("feedback of day 5: ")
    assert "\n" not in str(refused.value) and "contract.without_wrong(feedback)" in str(refused.value)
    row = place[0] if isinstance(place, tuple) else place
    right, wrong = CONTRACT.without_wrong(evening)
    assert set(wrong["row"]) == {row} and set(wrong["person"]) == {PEOPLE[row]}
    assert CONTRACT.after(right).day == 6, "what is left keeps the contract"
    others = np.arange(3) != row
    assert np.array_equal(right.slates[others], _evening().slates[others]) and (right.slates[row] == -1).all()
    assert np.array_equal(right.watch_ratio[others], _evening().watch_ratio[others]) and not right.watch_ratio[row].any()
    assert right.emotion[row] == "" and right.emotion[others].tolist() == _evening().emotion[others].tolist()
    for name, column in right.behaviour.items():
        assert np.isnan(column[row]) and np.array_equal(column[others], _evening().behaviour[name][others], equal_nan=True)
    assert np.array_equal(right.active, _evening().active)


OF_EVERYBODY = [
    ({"day": 5.0}, "feedback: day is 5.0; expected a whole number"),
    ({"day": True}, "feedback: day is True; expected a whole number"),
    ({"active": np.array([1, 1, 0])}, "active is an array of int64 with the shape (3,); expected an array of bool"),
    ({"active": [True, True, False]}, "active is of list; expected an array of bool with the shape (3,)"),
    ({"active": np.ones(4, dtype=bool)}, "active is an array of bool with the shape (4,)"),
    ({"slates": np.zeros((3, 3))}, "slates is an array of float64"),
    ({"slates": np.zeros((3, 3), dtype=bool)}, "slates is an array of bool"),
    ({"slates": np.full(3, -1)}, "with the shape (3,); expected an array of whole numbers with the shape (3, any)"),
    ({"slates": np.full((2, 3), -1)}, "with the shape (2, 3)"),
    ({"watch_ratio": np.zeros((3, 2))}, "with the shape (3, 2); expected an array of numbers with the shape (3, 3)"),
    ({"watch_ratio": np.zeros((3, 3), dtype=bool)}, "watch_ratio is an array of bool"),
    ({"watch_ratio": np.zeros((3, 3), dtype=object)}, "watch_ratio is an array of object"),
    ({"watch_ratio": np.full((3, 3), "0.5")}, "watch_ratio is an array of <U3"),
    ({"watch_ratio": np.zeros((3, 3), dtype=complex)}, "watch_ratio is an array of complex128"),
    ({"emotion": np.zeros(3)}, "emotion is an array of float64"),
    ({"emotion": np.array(["happy"] * 2)}, "with the shape (2,)"),
    ({"emotion": "happy"}, "emotion is of str; expected an array of texts"),
    ({"behaviour": None}, "behaviour is of NoneType; expected a dict"),
    ({"behaviour": {"scrolling_time": np.zeros(2)}}, "behaviour 'scrolling_time' is an array of float64 with the shape (2,)"),
    ({"behaviour": {"scrolling_time": np.array(["1"] * 3)}}, "behaviour 'scrolling_time' is an array of <U1"),
    ({"behaviour": {"scroling_time": np.zeros(3)}}, "no behaviour column 'scroling_time'. Did you mean 'scrolling_time'?"),
    ({"behaviour": {"emotion": np.zeros(3)}}, "'emotion' is no behaviour column"),
    ({"behaviour": {"user": np.zeros(3)}}, "'user' is no behaviour column"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "words"), OF_EVERYBODY)
def test_what_concerns_everybody_is_refused_whole(changed, words):
    for read in (CONTRACT.after, CONTRACT.without_wrong, CONTRACT.wrong):
        with pytest.raises(DataError) as refused:
            read(_evening(**changed))
        assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("day", [5, 4, 7])
def test_days_come_in_order_one_evening_each(day):
    """The day after day 5 is day 6: neither again, nor back, nor a day left out, by which every weekday would shift."""
    after = CONTRACT.after(_evening())
    for read in (lambda: after.after(_evening(day=day)), lambda: after.check_morning(replace(morning_of(3, 4), day=day))):
        with pytest.raises(DataError, match=f"of day {day}: the evening of day 5 was read, so day 6 comes next"):
            read()
    assert after.after(_evening(day=np.int64(6))).day == 7


MORNINGS = [
    ({"active": np.array([1, 0, 1])}, "observation of day 15: active is an array of int64"),
    ({"pool": np.ones(5, dtype=bool)}, "(5,); expected an array of bool with the shape (4,)"),
    ({"pool": np.array([0, 1, 2, 3])}, "pool is an array of int64"),
    ({"slate_size": np.array([2.0, 2.0, 2.0])}, "slate_size is an array of float64"),
    ({"slate_size": np.array([2, -1, 2])}, "slate_size of 'u2' (row 1) is -1; expected 0 or more items"),
    ({"slate_size": np.full(4, 2)}, "slate_size is an array of int64 with the shape (4,)"),
    ({"day": None}, "day is None"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "words"), MORNINGS)
def test_a_wrong_morning_is_refused(changed, words):
    with pytest.raises(DataError) as refused:
        CONTRACT.check_morning(replace(morning_of(3, 4), **changed))
    assert words in str(refused.value)


BEGINNINGS = [
    ((PEOPLE, np.array(["a", "b", "a"])), "reset: the item 'a' is there twice"),
    ((PEOPLE[None], ITEMS), "reset: users have the shape (1, 3)"),
    ((PEOPLE, ITEMS, np.array(["False"] * 3)), "reset: consent is an array of <U5"),
    ((PEOPLE, ITEMS, np.array([1, 0, 1])), "reset: consent is an array of int64 with the shape (3,); expected an array of bool"),
    ((PEOPLE, ITEMS, np.array([True])), "with the shape (1,)"),
    ((PEOPLE, ITEMS, [True, True, False]), "reset: consent is of list"),
]


@pytest.mark.parametrize(("given", "words"), BEGINNINGS)
def test_a_policy_begins_with_names_and_consents(given, words):
    with pytest.raises(DataError) as refused:
        Contract.of(*given)
    assert words in str(refused.value)


# -- the policies keep to it --------------------------------------------------------------------------------------------


def _state(policy) -> bytes:
    """All of a policy that a day changes."""
    names = ("contract", "log", "beliefs", "_calibration", "_multiplier", "_here", "ranking", "_expected", "score", "_theta")
    return pickle.dumps([getattr(policy, name, None) for name in names])


@pytest.mark.parametrize("kind", ["esmr", "linucb", "popular", "random"])
def test_a_refused_day_leaves_no_trace(trained, kind):
    """Every bad evening and morning leaves each policy byte for byte as it was, and the right evening can be given."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")
    made = {
        "esmr": lambda: esmr_policy(trained, gate="always"),
        "linucb": lambda: LinUCB(model_of(trained), trained[1][2]),
        "popular": lambda: Popular(items, np.arange(len(items), dtype=float)),
        "random": lambda: Random(1),
    }
    policy, twin = made[kind](), made[kind]()
    for one in (policy, twin):
        one.reset(users, items)
        slates = one.recommend(morning_of(len(users), len(items), 5))
    before, ratio = _state(policy), np.full(slates.shape, 0.5)
    right = evening_of(slates, ratio, {"scrolling_time": np.arange(len(users))}, "angry")
    values = [np.nan, np.inf, 1e30, -1.0, 100.0, -100.0]
    bad = [replace(right, watch_ratio=np.where(np.arange(5) == 2, value, ratio)) for value in values]
    bad += [replace(right, slates=slates.astype(float)), replace(right, slates=slates - 100), replace(right, day="15")]
    bad += [replace(right, active=np.zeros(len(users), dtype=bool)), replace(right, watch_ratio=ratio[:, :2])]
    bad += [replace(right, watch_ratio=np.ma.masked_array(np.full_like(ratio, under), mask=True)) for under in (np.nan, 1e30)]
    bad += [replace(right, day=day) for day in (10**18, -(10**40))]
    if kind in ("esmr", "linucb"):
        bad += [replace(right, emotion=np.full(len(users), "sulky"))]
        with pytest.raises(ConfigError):
            policy.recommend(morning_of(len(users), len(items), 5), goal="upift")
    for evening in bad:
        with pytest.raises(DataError):
            policy.observe(evening)
    for changed in ({"active": np.ones(len(users))}, {"pool": np.ones(3, dtype=bool)}, {"slate_size": np.full(len(users), -1)}):
        with pytest.raises(DataError):
            policy.recommend(replace(morning_of(len(users), len(items), 5), **changed))
    assert _state(policy) == before
    for one in (policy, twin):
        one.observe(right)
    later = morning_of(len(users), len(items), 5, day=16)
    assert np.array_equal(policy.recommend(later), twin.recommend(later))


@pytest.mark.parametrize("kind", ["esmr", "random", "popular"])
def test_a_policy_that_serves_nobody_says_so(trained, kind):
    policy = {"esmr": lambda: esmr_policy(trained), "random": lambda: Random(1), "popular": lambda: Popular([], [])}[kind]()
    with pytest.raises(DataError, match=r"serves nobody yet. Call reset\(users, items\)"):
        policy.recommend(morning_of(3, 4, 2))
    with pytest.raises(DataError, match="serves nobody yet"):
        policy.observe(_evening())
    for users, items in ((np.array([], dtype=str), ITEMS), (PEOPLE, np.array([], dtype=str))):
        with pytest.raises(DataError, match="are none"):
            policy.reset(users, items)


@pytest.mark.parametrize("goal", [5, [5, None, None], ["uplift"], {"uplift": 1}])
def test_a_goal_that_is_none_is_named(trained, goal):
    policy = esmr_policy(trained)
    policy.reset(PEOPLE, names_of(trained, "item_id"))
    with pytest.raises(ConfigError, match="goal"):
        policy.recommend(morning_of(3, len(names_of(trained, "item_id")), 2), goal=goal)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.integers(0, 39),
    place=st.integers(0, 4),
    value=st.one_of(
        st.floats(allow_nan=True, allow_infinity=True).filter(lambda x: not 0 <= x <= 1), st.sampled_from([np.nan, 1e30, -100.0])
    ),
    field=st.sampled_from(["watch_ratio", "scrolling_time"]),
)
def test_one_clients_nonsense_changes_nobody_elses_feed(trained, row, place, value, field):
    """Left out, the slates of all others are those of a day on which the person was here, and nothing is known of them."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")
    one, other = esmr_policy(trained, gate="always"), esmr_policy(trained, gate="always")
    for policy in (one, other):
        policy.reset(users, items)
        slates = policy.recommend(morning_of(len(users), len(items), 5))
    ratio, scrolled = np.full(slates.shape, 0.5), np.arange(len(users), dtype=float)
    bad_ratio, bad_scrolled = ratio.copy(), scrolled.copy()
    if field == "watch_ratio":
        bad_ratio[row, place] = value
    else:
        bad_scrolled[row] = value if not np.abs(value) <= 1e15 and not np.isnan(value) else np.inf
    bad = evening_of(slates, ratio, {"scrolling_time": bad_scrolled}, "angry")
    right, wrong = one.contract.without_wrong(replace(bad, watch_ratio=bad_ratio))
    assert set(wrong["row"]) == {row}
    one.observe(right)
    hole = np.arange(len(users)) == row
    words = np.where(hole, "", "angry")
    expected = evening_of(np.where(hole[:, None], -1, slates), np.where(hole[:, None], 0, ratio))
    other.observe(replace(expected, emotion=words, behaviour={"scrolling_time": np.where(hole, np.nan, scrolled)}))
    factor = one._calibration.correction().factor
    assert np.isfinite(factor).all() and np.array_equal(factor, other._calibration.correction().factor)
    later = morning_of(len(users), len(items), 5, day=16)
    assert np.array_equal(one.recommend(later), other.recommend(later))


@pytest.mark.parametrize("value", [1e15, -1e15, np.nan])
def test_the_largest_numbers_of_a_behaviour_column_stay_with_their_person(trained, value):
    """What the contract lets through harms nobody: with no budget shared, all others are shown what they would have been."""
    items, users = names_of(trained, "item_id"), names_of(trained, "user_id")
    said = []
    for number in (3.0, value):
        policy = ESMRPolicy(model_of(trained), trained[1][2], "always")
        policy.reset(users, items)
        for day in (15, 16, 17):
            slates = policy.recommend(morning_of(len(users), len(items), 5, day=day))
            scrolled = np.where(np.arange(len(users)) == 4, number, 5.0)
            policy.observe(evening_of(slates, np.full(slates.shape, 0.5), {"scrolling_time": scrolled}, "angry", day))
        said.append(policy.recommend(morning_of(len(users), len(items), 5, day=18)))
        assert np.isfinite(policy.beliefs.valence).all() and np.isfinite(policy.beliefs.forecast).all()
    others = np.arange(len(users)) != 4
    assert np.array_equal(said[0][others], said[1][others])


def test_a_slate_longer_than_the_catalogue_is_the_catalogue(trained):
    policy, items, users = esmr_policy(trained), names_of(trained, "item_id")[:3], names_of(trained, "user_id")[:2]
    policy.reset(users, items)
    slates = policy.recommend(Observation(15, np.ones(2, dtype=bool), np.full(2, 10**12), np.ones(3, dtype=bool)))
    assert np.sort(slates, axis=1).tolist() == [[0, 1, 2]] * 2
