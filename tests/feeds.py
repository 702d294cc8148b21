"""What tests of feed policies share: a morning, an evening, a trained ESMR as a policy, and proven effects."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.policy.esmr import ESMRPolicy

NEGATIVE = ("stressed", "anxious", "angry", "frustrated", "disappointed", "lonely")

PROVEN = {
    "effects": [
        {"treatment": f"exposure_{emotion}", "outcome": "valence", "state": "all", "weight": weight}
        for emotions, weight in ((NEGATIVE, -0.05), (("happy", "excited"), 0.03))
        for emotion in emotions
    ]
}
"""What a causal stage would have found."""


def proven():
    """The same as training leaves it, every field of each effect included."""
    from recbole_esmr.causal.effects import Effect

    backdoor = {"estimate": 0.0, "low": 0.0, "high": 0.0}
    whole = [
        Effect(said["treatment"], "valence", "all", said["weight"], -0.1, 0.1, 0.0, 9, backdoor=backdoor, weight=said["weight"])
        for said in PROVEN["effects"]
    ]
    return {"effects": [effect.as_dict() for effect in whole], "graph": {"edges": []}, "warnings": [], "skipped": []}


def morning_of(users=3, items=6, size=2, pool=None, day=15):
    pool = np.ones(items, dtype=bool) if pool is None else np.array(pool, dtype=bool)
    return Observation(day, np.ones(users, dtype=bool), np.full(users, size), pool)


def evening_of(slates, ratio, behaviour=None, emotion="", day=15):
    slates = np.array(slates)
    users = len(slates)
    words = np.array([emotion] * users)
    return Feedback(day, np.ones(users, dtype=bool), slates, np.array(ratio, dtype=np.float32), words, behaviour or {})


def model_of(trained, **learned):
    """A copy of the trained model, with other things learned (``causal=PROVEN``)."""
    _, (_, model, *_) = trained
    other = copy.deepcopy(model)
    other.learned = replace(other.learned, **learned)
    return other


def esmr_policy(trained, gate=None, **learned):
    _, (_, _, dataset, *_) = trained
    return ESMRPolicy(model_of(trained, **learned), dataset, gate)


def names_of(trained, field):
    _, (_, _, dataset, *_) = trained
    return np.array([name for name in dataset.field2id_token[field] if name != "[PAD]"])
