"""What slates tell of moods: nothing where there is nothing, a planted leak with its size, and no more without consent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from recbole_esmr.audit import leak
from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.trace import TEST
from recbole_esmr.evaluator.leak import ACQUAINTANCE, STRANGER, _auc, _auc_within, leaks, make_up

PEOPLE, DAYS = 300, 12
RNG = np.random.default_rng(8)
PERSON = np.repeat(np.arange(PEOPLE), DAYS)
USUAL = np.repeat(RNG.normal(size=PEOPLE), DAYS)
NEGATIVE = USUAL + RNG.normal(size=len(PERSON)) > 0.8
NOISE = RNG.normal(size=(len(PERSON), 3))


@pytest.fixture(autouse=True)
def _few_lots(monkeypatch):
    monkeypatch.setattr("recbole_esmr.evaluator.leak.LOTS", 4)


def test_aucs_are_those_of_sklearn():
    """Over all days, with people's weights as sample weights; and within people, pair by pair."""
    told = np.round(NOISE[:200, 0], 1)
    person, negative = PERSON[:200], NEGATIVE[:200]
    weight = RNG.poisson(1.0, (3, person.max() + 1)).astype(float)
    peer = [roc_auc_score(negative, told, sample_weight=row[person]) for row in weight]
    assert _auc(told, negative, person)(weight) == pytest.approx(peer)
    pairs = [
        (told[i] > told[j]) + (told[i] == told[j]) / 2
        for i in np.flatnonzero(negative)
        for j in np.flatnonzero(~negative)
        if person[i] == person[j]
    ]
    assert _auc_within(told, negative, person)(np.ones((1, person.max() + 1)))[0] == pytest.approx(np.mean(pairs))


def test_a_planted_leak_is_found_with_its_size():
    """d standard deviations between good and bad days are an AUC of Φ(d / √2); who people are helps the stranger alone."""
    shifted, usual = NOISE.copy(), NOISE.copy()
    shifted[:, 0] += 1.0 * NEGATIVE
    usual[:, 0] = USUAL
    found = leaks({"nothing": NOISE, "of the day": shifted, "of the person": usual}, NEGATIVE, PERSON, 1, 200)
    size = float(norm.cdf(1 / np.sqrt(2)))
    for who in (STRANGER, ACQUAINTANCE):
        nothing, day = found["nothing"][who], found["of the day"][who]
        assert nothing["low"] < 0.5 < nothing["high"] and nothing["mean"] == pytest.approx(0.5, abs=0.04)
        assert day["mean"] == pytest.approx(size, abs=0.04) and day["low"] > 0.6
        assert 0.01 < day["high"] - day["mean"] < 0.06
        assert day["difference"]["low"] > 0.1 and nothing["difference"] == {"mean": 0, "low": 0, "high": 0}
    person = found["of the person"]
    assert person[STRANGER]["low"] > 0.7 and abs(person[ACQUAINTANCE]["mean"] - 0.5) < 0.05


def test_what_a_bystander_sees_by_hand():
    share = np.array([[0, 0], [1, 0], [0, 1], [0.5, 0.5]])
    catalogue = Catalogue(
        share,
        np.array([-0.5, 0.5]),
        np.array([0, 0.2, 0.4, 0.6]),
        np.array([-1, 0, 1, 0]),
        ("a", "b"),
        np.array([30, 1, 1, np.e]),
    )
    seen = make_up(np.array([[1, 3, 0], [2, 2, 2]]), catalogue)
    assert seen == pytest.approx(np.array([[0.75, 0.25, 1, 0, 0.4, 0.5], [0, 1, 0, 1, 0.4, 0]]))


def test_the_leak_of_a_trained_model(trained):
    """The same held-out days under three ways to rank, those of whole people where they are too many."""
    _, (_, model, dataset, *_) = trained
    found = leak(model, dataset, 1)
    held_out = np.isfinite(dataset.trace.valence) & (dataset.trace.role != 0)
    assert found["days"] == held_out.sum() and found["people"] == held_out.any(axis=1).sum()
    assert found["negative"] == pytest.approx((dataset.trace.valence[held_out] < 0).mean())
    assert list(found["auc"]) == ["engagement", "ESMR", "ESMR without consent"]
    assert all(0 <= value["mean"] <= 1 for by in found["auc"].values() for value in by.values())
    assert leak(model, dataset, 1) == found, "the same seed"
    few = leak(model, dataset, 1, most=60)
    assert 0 < few["days"] <= 60 and few["people"] < found["people"]


def test_nothing_is_said_where_nobody_reported(trained):
    from dataclasses import replace

    _, (_, model, dataset, *_) = trained

    class Silent:
        trace = replace(dataset.trace, valence=np.full_like(dataset.trace.valence, np.nan))

    assert leak(model, Silent, 1) is None and (dataset.trace.role == TEST).any()
