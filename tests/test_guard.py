"""Limits on one emotion: by hand, against every slate there is, and in what a trained model shows."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.errors import ConfigError
from recbole_esmr.feed import Observation
from recbole_esmr.model.budget import SlateBudget
from recbole_esmr.model.guard import Guard
from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.quick_start import load_data_and_model

QUIET = {"state": "WARNING", "show_progress": False}
ANGRY, SAD, CALM, HAPPY = range(4)
PLACE = np.array([-0.5, -0.6, 0.0, 0.7])


def _items(emotion):
    """A catalogue of items with these emotions, −1 for one without, behind the padding."""
    share = np.vstack([np.zeros(4), *(np.eye(4)[code] if code >= 0 else np.zeros(4) for code in emotion)])
    count = len(share)
    return Catalogue(share, PLACE, np.ones(count), np.zeros(count, dtype=int), ("all",), np.full(count, 30.0))


def _budget(emotion, engagement, size, guard, benefit=None):
    item = torch.arange(1, len(emotion) + 1)[None]
    value = torch.tensor([engagement], dtype=torch.double)
    limits = guard.of(_items(emotion), item, np.array([size]))
    return SlateBudget(value, torch.zeros_like(value) if benefit is None else benefit, torch.tensor([size]), limits=limits)


def _shown(budget, weight=0.0):
    return budget.slates(torch.tensor([weight])).columns[0].tolist()


def test_one_emotion_by_hand():
    emotion, worth = [ANGRY, ANGRY, ANGRY, HAPPY, CALM, SAD], [9.0, 8.0, 7.0, 3.0, 2.0, 1.0]
    assert _shown(_budget(emotion, worth, 4, Guard(emotion_share=1, negative_share=1))) == [0, 1, 2, 3]
    half = _budget(emotion, worth, 4, Guard(emotion_share=0.5, negative_share=1))
    assert _shown(half) == [0, 1, 3, 4] and half.usual_engagement.tolist() == [22], "the usual slate keeps the limit, too"
    assert half.slates(torch.tensor([0.0])).held_back.tolist() == [[0, 0, 9, 0, 0, 0]], (
        "the third angry one comes after all others"
    )
    assert _shown(_budget(emotion, worth, 4, Guard(emotion_share=0.1, negative_share=1))) == [0, 3, 4, 5], "one place is left"
    assert _shown(_budget(emotion, worth, 3, Guard(emotion_share=0, negative_share=1))) == [4, 0, 1], "then what is held back"


def test_negative_emotions_together_by_hand():
    emotion, worth = [ANGRY, SAD, ANGRY, SAD, HAPPY, HAPPY], [9.0, 8.0, 7.0, 6.0, 2.0, 1.0]
    assert _shown(_budget(emotion, worth, 4, Guard(emotion_share=1, negative_share=0.5))) == [0, 1, 4, 5]
    assert _shown(_budget(emotion, worth, 4, Guard(emotion_share=0.25, negative_share=0.75))) == [0, 1, 4, 2], "nothing else"


def test_calm_items_and_those_without_an_emotion_are_not_limited():
    emotion = [CALM, CALM, -1, -1, HAPPY]
    assert _shown(_budget(emotion, [5.0, 4.0, 3.0, 2.0, 1.0], 4, Guard(emotion_share=0.25, negative_share=0))) == [0, 1, 2, 3]


def test_the_benefit_moves_within_the_limits():
    benefit = torch.tensor([[0.0, 0.0, 5.0, 5.0]], dtype=torch.double)
    guarded = _budget([ANGRY, CALM, HAPPY, HAPPY], [4.0, 3.0, 2.0, 1.0], 2, Guard(emotion_share=0.5, negative_share=1), benefit)
    assert _shown(guarded, 10.0) == [2, 0], "the second happy one is held back"


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.2, 0.4, 0.6, 1.0]), st.sampled_from([0.0, 0.4, 0.6, 1.0]))
def test_no_slate_within_the_limits_is_worth_more(seed, emotion_share, negative_share):
    """Against all slates of five of nine items; where fewer than five may be shown, against the most that may."""
    generator = np.random.default_rng(seed)
    emotion, worth = generator.integers(-1, 4, 9), generator.random(9)
    budget = _budget(emotion.tolist(), worth.tolist(), 5, Guard(emotion_share=emotion_share, negative_share=negative_share))
    most = max(int(emotion_share * 5 + 1e-9), 1), max(int(negative_share * 5 + 1e-9), negative_share > 0)

    def allowed(slate):
        kinds = [emotion[i] for i in slate if emotion[i] in (ANGRY, SAD, HAPPY)]
        return max(map(kinds.count, kinds), default=0) <= most[0] and sum(k in (ANGRY, SAD) for k in kinds) <= most[1]

    held = budget.slates(torch.tensor([0.0])).held_back[0].numpy() > 0
    kept = [i for i in _shown(budget) if not held[i]]
    every = [slate for size in range(6) for slate in combinations(range(9), size) if allowed(slate)]
    assert allowed(kept) and len(kept) == max(map(len, every))
    assert worth[kept].sum() == pytest.approx(max(worth[list(slate)].sum() for slate in every))


def test_a_trained_model_keeps_the_limits(trained):
    """Of ten items at most three of one emotion and four negative ones, in lists and in feeds."""
    path = trained[0]["checkpoint"]
    free = load_data_and_model(path, QUIET)[1]
    _, model, dataset, *_ = load_data_and_model(path, {**QUIET, "max_emotion_share": 0.3, "max_negative_share": 0.4})
    model.settings = replace(model.settings, serving=replace(model.settings.serving, candidates=60))  # enough of every emotion
    share, names = dataset.catalogue.share, dataset.field2id_token
    kind = np.where(share.any(axis=1), share.argmax(axis=1), -1)
    place = np.append(dataset.catalogue.place, 0)[kind]

    def kept(slates):
        most = max(max(np.bincount(kind[slate][place[slate] != 0]).max(initial=0) for slate in slates), 0)
        return most <= 3 and (place[slates] < 0).sum(axis=1).max() <= 4

    users = np.arange(1, 31)
    lists = [one.score(users, np.full(30, one.log.trace.days)).topk(10, dim=1).indices.cpu().numpy() for one in (free, model)]
    assert not kept(lists[0]) and kept(lists[1])
    everybody, items = names[dataset.uid_field][1:], names[dataset.iid_field][1:]
    policy = ESMRPolicy(model, dataset)
    policy.reset(everybody, items)
    count = len(everybody)
    morning = Observation(1, np.ones(count, dtype=bool), np.full(count, 10), np.ones(len(items), dtype=bool))
    assert kept(policy.recommend(morning) + 1)


def test_a_share_above_one_is_refused(trained):
    with pytest.raises(ConfigError, match="max_emotion_share is 30"):
        load_data_and_model(trained[0]["checkpoint"], {"max_emotion_share": 30})
