"""What a platform has logged of its people, and the same log one day later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from recbole_esmr.data.catalogue import Catalogue
from recbole_esmr.data.history import History
from recbole_esmr.data.impressions import Impressions
from recbole_esmr.data.item_past import ItemPast
from recbole_esmr.data.trace import TEST, Trace, make_trace, withheld
from recbole_esmr.data.user_days import spaced
from recbole_esmr.emotion import Taxonomy


@dataclass(frozen=True)
class Log:
    """What is known of P people, a row each: a window of D days, which a new day moves on.

    Attributes:
        people: (P,) RecBole's internal ids; 0 for a newcomer, of whom the data know nothing.
        trace: their days.
        impressions: what was shown to them.
        history: what they watched.
        past: what everybody's impressions say of the items, people outside this log included.
    """

    people: np.ndarray
    trace: Trace
    impressions: Impressions
    history: History
    past: ItemPast

    def of(self, rows: np.ndarray) -> Log:
        """The log of the people in these rows alone; it costs what they cost, not what everybody costs.

        In the log of a whole data set a row is RecBole's id, and row 0 stands for any newcomer.
        """
        return Log(self.people[rows], self.trace.of(rows), self.impressions.of(rows), self.history.of(rows), self.past)

    def of_some(self, most: int) -> Log:
        """The log of at most so many people, evenly spaced among all."""
        rows = np.arange(len(self.people))
        some = spaced(rows, most)
        return self if some is rows else self.of(some)

    def with_consent(self, consent: np.ndarray) -> Log:
        """The log with other consents, (P,) bool; nothing of who does not consent is read from here on."""
        return replace(self, trace=withheld(replace(self.trace, consent=np.array(consent, dtype=bool))))

    def next_day(
        self, shown: Impressions, user_days: Mapping[str, np.ndarray], catalogue: Catalogue, taxonomy: Taxonomy, items: bool
    ) -> Log:
        """The log after one day more, each day read exactly as the data set would have read its files.

        Args:
            shown: the day's impressions, their ``day`` being 0.
            user_days: columns emotion (label) and the behaviour columns, (P,) each.
            catalogue: the items.
            taxonomy: of the labels.
            items: whether what these people watch is all that is known of the items from here on; otherwise what the log says
                of items stays as it is.
        """
        old, people = self.trace, len(self.people)
        column = make_trace(
            first_day=old.first_day + old.days,
            days=1,
            user_days={
                "user": np.arange(people),
                "day": np.zeros(people, dtype=int),
                "valence": np.full(people, np.nan),
                **user_days,
            },
            impressions=shown,
            catalogue=catalogue,
            taxonomy=taxonomy,
            profile=(old.profile, old.profiles),
            consent=old.consent,
            shared_calendar=old.shared_calendar,
        )
        place = {name: index for index, name in enumerate(column.feature_names)}
        known = np.concatenate([column.features, np.full((people, 1, 1), np.nan)], axis=-1)
        column = replace(
            column,
            features=known[..., [place.get(name, -1) for name in old.feature_names]],
            role=np.full((people, 1), TEST, dtype=np.int8),
        )
        kept = self.impressions.take(self.impressions.day > 0)
        watched = shown.label == 1
        return Log(
            people=self.people,
            trace=old.rolled(column),
            impressions=replace(kept, day=kept.day - 1).followed_by(replace(shown, day=shown.day + old.days - 1)),
            history=self.history.next_day(shown.user[watched], shown.item[watched]),
            past=self.past.next_day(shown) if items else self.past,
        )
