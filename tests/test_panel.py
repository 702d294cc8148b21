"""The user-day panel, by hand: what was shown, watched and felt, and nothing of what comes later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recbole_esmr.causal.linear import fit_linear
from recbole_esmr.causal.panel import make_panel
from recbole_esmr.causal.traits import traits_of
from recbole_esmr.causal.usual_slates import usually_shown
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.trace import Trace


def _trace(valence, exposure) -> Trace:
    users, days = valence.shape
    nothing = np.zeros((users, days))
    return Trace(
        first_day=1,
        emotion=np.where(np.isfinite(valence), 0, -1),
        valence=valence,
        features=np.zeros((users, days, 0)),
        feature_names=(),
        present=np.isfinite(exposure[..., 0]),
        exposure=exposure,
        engagement=nothing + 0.5,
        emotion_hours=np.zeros((users, days, 9)),
        category_hours=np.zeros((users, days, 1)),
        profile=np.zeros(users, dtype=int),
        profiles=("x",),
        consent=np.ones(users, dtype=bool),
        role=np.zeros((users, days), dtype=np.int8),
    )


def _two_items() -> Catalogue:
    """Item 1 is negative (−0.5) with intensity 0.8, item 2 positive (0.6) with intensity 0.4; 36 seconds each."""
    return Catalogue(
        share=np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        place=np.array([-0.5, 0.6]),
        intensity=np.array([0, 0.8, 0.4]),
        category=np.array([-1, 0, 0]),
        categories=("c",),
        duration=np.array([1.0, 36.0, 36.0]),
    )


TRAITS = traits_of(_two_items(), ("sad", "happy"), ["emotion"])


def test_panel_by_hand():
    nan = np.nan
    valence = np.array([[0.2, -0.4, nan, 0.6, 0.0]])
    ratio = np.array([[0.5, 0.25], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])  # of item 1 and item 2, by day
    exposure = np.stack([ratio[:, 0] * 0.8 / 2, ratio[:, 1] * 0.4 / 2], axis=-1)[None]
    trace = _trace(valence, exposure)
    impressions = Impressions(
        user=np.zeros(10, dtype=int), day=np.repeat(np.arange(5), 2), item=np.tile([1, 2], 5),
        label=(ratio.ravel() > 0).astype(int), watch_ratio=ratio.ravel(), propensity=np.full(10, nan), has_skips=True,
    )  # fmt: skip
    told = np.array([[0.1, nan, 0.3, 0.4, 0.5]])
    made = make_panel(trace, impressions, _two_items(), np.ones((1, 5), dtype=bool), TRAITS, days_after=2, told=told)
    panel, design = made.table, made.design
    assert panel["day"].tolist() == [0, 1, 2, 3]  # a feed today, a day tomorrow
    assert np.allclose(panel["valence"], [-0.4, nan, 0.6, 0.0], equal_nan=True)
    assert np.allclose(panel["negative"], [1, nan, 0, 0], equal_nan=True)
    assert panel["active"].tolist() == [1, 1, 1, 1] and panel["engagement"].tolist() == [0.5] * 4
    home = [0.2, -0.1, -0.1, 0.4 / 3]
    assert np.allclose(panel["home_valence"], home) and panel["reported_today"].tolist() == [1, 1, 0, 1]
    assert np.allclose(panel["valence_today"], [0.2, -0.4, -0.1, 0.6])  # not reported: the mean so far
    assert np.allclose(panel["valence_yesterday"], [0.2, 0.2, -0.4, 0.4 / 3])
    assert np.allclose(panel["negative_exposure"], [0.2, 0.4, 0.2, 0.0])
    assert np.allclose(panel["negative_exposure_yesterday"][1:], [0.2, 0.4, 0.2])
    assert np.allclose(panel["usual_negative_exposure"][1:], [0.2, 0.3, 0.8 / 3])
    tone = [(0.5 * -0.4 + 0.25 * 0.24) / 0.75, -0.4, (-0.4 + 0.24) / 2]
    assert np.allclose(panel["watched_tone"], [0, *tone])
    assert panel["state"].tolist() == [0, 1, 1, 0]
    assert panel["shown_negative"].iloc[0] == pytest.approx(0.475 * 0.8 / 2)  # nobody else saw item 1: the mean of all views
    assert panel["exposure_sad"].tolist() == panel["negative_exposure"].tolist()
    assert dict(design.traits) == {"exposure_sad": "negative", "exposure_happy": "positive"}
    assert np.allclose(panel["valence_2"], [nan, 0.6, 0.0, nan], equal_nan=True) and design.later == ("valence", "valence_2")
    assert np.allclose(panel["told_valence"], [nan, 0.3, 0.4, 0.5], equal_nan=True)
    assert np.allclose(panel["told_valence_2"], [0.3, 0.4, 0.5, nan], equal_nan=True)
    held_out = np.array([[True, True, False, False, False]])
    assert make_panel(trace, impressions, _two_items(), held_out).table["day"].tolist() == [0]
    watched_only = make_panel(trace, replace(impressions, has_skips=False), _two_items(), held_out)
    assert watched_only.design.instruments == {}


def test_what_was_shown_is_measured_by_how_others_watch():
    ratio = np.array([[1.0, 0.5], [0.0, 0.5], [0.2, 0.6]])  # item 1 and item 2, by person, on one day
    exposure = ratio[:, None] * np.array([0.8, 0.4]) / 2
    trace = _trace(np.full((3, 2), 0.1), np.concatenate([exposure, np.full((3, 1, 2), np.nan)], axis=1))
    impressions = Impressions(
        user=np.repeat(np.arange(3), 2), day=np.zeros(6, dtype=int), item=np.tile([1, 2], 3),
        label=(ratio.ravel() > 0).astype(int), watch_ratio=ratio.ravel(), propensity=np.full(6, np.nan), has_skips=True,
    )  # fmt: skip
    table = make_panel(trace, impressions, _two_items(), np.ones((3, 2), dtype=bool)).table
    everywhere = ratio.mean()
    others = [(0.2 + 5 * everywhere) / 7, (1.2 + 5 * everywhere) / 7, (1.0 + 5 * everywhere) / 7]  # of item 1
    assert np.allclose(table["shown_negative"], np.array(others) * 0.8 / 2)


def test_what_comes_later_moves_no_earlier_row():
    """Perturb the last day, which may not be used: every confounder, exposure and slate of the rows that may stays as it is."""
    rng = np.random.default_rng(0)
    valence, ratio = rng.uniform(-1, 1, (3, 6)), rng.uniform(0, 1, 36)

    def table(last: float) -> pd.DataFrame:
        changed, watched = valence.copy(), ratio.copy().reshape(3, 6, 2)
        changed[:, -1], watched[:, -1] = last, abs(last)
        exposure = watched * np.array([0.8, 0.4]) / 2
        impressions = Impressions(
            user=np.repeat(np.arange(3), 12), day=np.tile(np.repeat(np.arange(6), 2), 3), item=np.tile([1, 2], 18),
            label=np.ones(36, dtype=int), watch_ratio=watched.ravel(), propensity=np.full(36, np.nan), has_skips=True,
        )  # fmt: skip
        use = np.ones((3, 6), dtype=bool)
        use[:, -1] = False
        made = make_panel(_trace(changed, exposure), impressions, _two_items(), use, TRAITS, days_after=2, told=changed)
        design = made.design
        slate = (*design.instruments.values(), *design.trait_instruments.values())
        used = [*design.confounders, *design.treatments, *design.traits, *slate, *design.later, *design.told]
        assert made.table["day"].max() == 3
        return made.table[used]

    pd.testing.assert_frame_equal(table(0.9), table(-0.3))


def _congruent_feed(seed, users=400, days=27):
    """A feed that follows a taste and yesterday's tone; the tone follows mood and taste. Nothing that is shown moves a mood."""
    rng = np.random.default_rng(seed)
    taste, home = rng.normal(size=users), 0.3 * rng.normal(size=users)
    mood, tone = rng.normal(size=users), np.zeros(users)
    rows = []
    for _ in range(days):
        shown = 0.6 * taste + 0.5 * tone + rng.normal(size=users)
        later = 0.7 * mood + np.sqrt(1 - 0.49) * rng.normal(size=users)
        rows.append((np.arange(users), tone, shown, home + mood, home + later))
        tone = 0.8 * taste + 0.8 * mood + 0.3 * shown + 0.3 * rng.normal(size=users)
        mood = later
    user, tones, shown, today, tomorrow = (np.concatenate(column) for column in zip(*rows, strict=True))
    return user, tones, shown, today, tomorrow, taste


def test_what_is_usually_shown_is_the_taste():
    user, tone, shown, *_, taste = _congruent_feed(0)
    usual = usually_shown(user, tone, shown[:, None])[:, 0]
    assert np.corrcoef(usual, taste[user])[0, 1] > 0.93
    plain = np.bincount(user, shown) / np.bincount(user)
    mood_free = np.linalg.lstsq(np.column_stack([taste, np.ones(400)]), usual[:400], rcond=None)[0][0]
    assert 0.45 < mood_free < 0.65 and np.corrcoef(plain, taste)[0, 1] > 0.9


def test_a_feed_that_follows_taste_and_tone_is_no_effect():
    """Given the tone alone the slate tells of the mood (of two with one tone, who has the brighter taste felt worse)."""
    found = {"tone": [], "and taste": []}
    for seed in range(8):
        user, tone, shown, _, tomorrow, _ = _congruent_feed(seed)
        usual = usually_shown(user, tone, shown[:, None])
        for name, known in (("tone", tone[:, None]), ("and taste", np.column_stack([tone, usual]))):
            found[name].append(fit_linear(tomorrow, shown[:, None], known, user).estimate[0])
    mean, error = ({name: of(each) for name, each in found.items()} for of in (np.mean, lambda x: np.std(x) / np.sqrt(8)))
    assert mean["tone"] < -8 * error["tone"] and abs(mean["and taste"]) < 0.3 * abs(mean["tone"])


def test_who_has_one_day_has_no_usual():
    usual = usually_shown(np.array([1, 2, 2, 3]), np.zeros(4), np.array([[5.0], [1.0], [3.0], [2.0]]))
    assert usual[0] == usual[3] == 0 and usual[1, 0] * usual[2, 0] < 0
