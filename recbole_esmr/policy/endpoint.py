"""A recommender behind an HTTP address as a feed policy."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np

from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.feed import Feedback, Observation
from recbole_esmr.policy.contract import NOT_BEGUN, Contract

PATIENCE = 60.0
"""Seconds that an answer may take."""

LARGEST = 50 * 2**20
"""Bytes of an answer that are read."""


class Endpoint:
    """Asks an address for each day's slates. Every request holds all that there is to know, so the server need keep nothing.

    A day is one POST of JSON, for all people at once::

        {"size": 10, "items": ["v1", …], "people": [{"id": "p1", "history": [{"item": "v7", "watched": 1.0}, …]}, …]}

    with the items on offer, and each person's items shown so far with the share that was watched, 0 to 1. The answer names items
    on offer, best first, one list a person in the same order::

        {"slates": [["v3", …], …]}

    Args:
        url: http or https.

    Raises:
        ConfigError: it is no such address.
    """

    contract: Contract = NOT_BEGUN

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"--endpoint={url}: expected an address that begins with http:// or https://.")
        self._url = url

    def reset(self, users: np.ndarray, items: np.ndarray) -> None:
        self.contract = Contract.of(users, items)
        self._users, self._items = [str(user) for user in users], np.array([str(item) for item in items], dtype=object)
        self._number = {item: number for number, item in enumerate(self._items)}
        self._history: list[list[dict[str, Any]]] = [[] for _ in users]

    def recommend(self, observation: Observation) -> np.ndarray:
        """Slates of the day.

        Raises:
            DataError: no answer, or one that holds something else than items on offer, each once.
        """
        self.contract.check_morning(observation)
        here, size = np.flatnonzero(observation.active), np.minimum(observation.slate_size, int(observation.pool.sum()))
        slates = np.full((len(self._users), int(size.max(initial=0))), -1)
        people = [{"id": self._users[row], "history": self._history[row]} for row in here]
        asked = {"size": slates.shape[1], "items": self._items[observation.pool].tolist(), "people": people}
        for row, names in zip(here, self._answer(asked), strict=True):
            slates[row, : min(len(names), size[row])] = self._numbers(names, observation.pool)[: size[row]]
        return slates

    def observe(self, feedback: Feedback) -> None:
        self.contract = self.contract.after(feedback)
        for row, place in zip(*np.nonzero(feedback.slates >= 0), strict=True):
            watched = float(feedback.watch_ratio[row, place])
            self._history[row].append({"item": self._items[feedback.slates[row, place]], "watched": watched})

    def acted(self) -> np.ndarray:
        return np.zeros(len(self._users), dtype=bool)

    def _answer(self, asked: dict[str, Any]) -> list[list[str]]:
        """One list of names for each of the people asked about."""
        sent = urllib.request.Request(self._url, json.dumps(asked).encode(), {"Content-Type": "application/json"}, method="POST")
        try:
            with urllib.request.urlopen(sent, timeout=PATIENCE) as answer:
                found = json.loads(answer.read(LARGEST))
        except (OSError, ValueError) as error:  # URLError and time-outs are OSErrors; what is no JSON is a ValueError
            why = f"status {error.code}" if isinstance(error, urllib.error.HTTPError) else error
            mend = "Is the server running, and does it answer a POST?"
            raise DataError(f"{self._url}: gave no answer in JSON ({why}). {mend}") from error
        slates, people = found.get("slates") if isinstance(found, dict) else None, len(asked["people"])
        if not isinstance(slates, list) or [isinstance(slate, list) for slate in slates] != [True] * people:
            raise DataError(
                f"{self._url}: expected the answer {{'slates': [[item, …], …]}} with {people} lists, one a person in their order."
            )
        return slates

    def _numbers(self, names: list[Any], pool: np.ndarray) -> list[int]:
        numbers = [self._number.get(name, -1) if isinstance(name, str) else -1 for name in names]
        wrong = [name for name, number in zip(names, numbers, strict=True) if number < 0 or not pool[number]]
        if wrong:
            raise DataError(f"{self._url}: the answer names {str(wrong[0])[:80]!r}, which is not on offer.")
        if len(set(numbers)) < len(numbers):
            raise DataError(f"{self._url}: the answer names an item twice in one slate.")
        return numbers
