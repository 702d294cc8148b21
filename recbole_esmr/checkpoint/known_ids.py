"""Whose weights are whose: the ids that a model was trained on, by keyed hashes, in the order of RecBole's internal numbers.

RecBole numbers ids in order of appearance, so the rows of a file in another order, or without those of a person, would give every
weight to somebody else. A checkpoint therefore keeps the numbers of each id, and a data set that is loaded for it is numbered by
them. The ids themselves are not kept. Who has the file and guesses an id can tell whether it is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recbole_esmr.errors import CheckpointError

PROFILES = "(profiles)"
"""Stands for a field: the kinds of people that ESMR numbers itself."""

NOBODY = 0
"""The hash of who was forgotten."""

_GONE = "\n(gone "
"""Beginning of the made-up name of who is not in the data; a cell of a file cannot hold it."""


@dataclass(frozen=True)
class KnownIds:
    """The ids of a data set.

    Attributes:
        key: of the hashes, 16 characters; made from the ids of the items, so the same data set has the same.
        codes: by field, (n,) uint64: the hash of the id that has the number 1 … n.
    """

    key: str
    codes: dict[str, np.ndarray]

    @classmethod
    def of(cls, dataset: Any, key: str | None = None) -> KnownIds:
        """Those of one of RecBole's data sets; ``key`` as of another's where the two are to be compared."""
        own = {id(dataset.field2id_token[field]): field for field in (dataset.iid_field, dataset.uid_field)}
        fields: dict[int, str] = {}  # fields that share their numbers share an array; in the order in which they were read
        for field in (name for name in dataset.field2type if name in dataset.field2id_token and name not in _entities(dataset)):
            array = id(dataset.field2id_token[field])
            fields.setdefault(array, own.get(array, field))
        names = {field: dataset.field2id_token[field][1:] for field in fields.values()}
        key = key or hashlib.sha256("\n".join(map(str, names[dataset.iid_field])).encode()).hexdigest()[:16]
        if hasattr(dataset, "trace"):
            names[PROFILES] = np.array(dataset.trace.profiles, dtype=object)
        return cls(key, {field: _hashed(tokens, key) for field, tokens in names.items()})

    @classmethod
    def of_text(cls, text: str) -> KnownIds:
        """The inverse of :meth:`text`.

        Raises:
            CheckpointError: it is something else.
        """
        try:
            kept = json.loads(text)
            key, fields = kept["key"], kept["fields"]
            if len(key.encode()) != 16:
                raise ValueError("a key of another length")
            return cls(key, {field: np.frombuffer(bytes.fromhex(code), dtype="<u8") for field, code in fields.items()})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"its ids cannot be used ({str(error)[:80]}). Train again.") from error

    @property
    def text(self) -> str:
        """Key and hashes as JSON."""
        return json.dumps(
            {"key": self.key, "fields": {field: code.astype("<u8").tobytes().hex() for field, code in self.codes.items()}}
        )

    def numbers(self, field: str, names: Iterable[str]) -> np.ndarray:
        """The internal number of each name, 0 for one that is not there; (N,) int."""
        codes = pd.Index(self.codes[field])
        wanted = _hashed(np.array(list(names), dtype=object), self.key)
        known = codes != NOBODY
        place = pd.Series(np.flatnonzero(known) + 1, index=codes[known])
        return place[~place.index.duplicated()].reindex(wanted).fillna(0).to_numpy(int)

    def names(self, field: str, tokens: np.ndarray) -> np.ndarray:
        """The name of each number, from names that may be known; one that nothing has where none of them is meant.

        Args:
            field: whose numbers.
            tokens: (N,) names, in any order, with repetitions.
        """
        tokens = pd.unique(pd.Series(tokens, dtype=object).dropna())
        by_code = pd.Series(tokens, index=_hashed(tokens, self.key), dtype=object)
        found = by_code[~by_code.index.duplicated()].reindex(self.codes[field])
        gone = [f"{_GONE}{number})" for number in range(1, len(found) + 1)]
        return found.where(found.notna().to_numpy(), pd.Series(gone, index=found.index)).to_numpy()

    def profiles(self, names: np.ndarray) -> pd.Index:
        """The kinds of people in their order here, and after them those that are new."""
        order = pd.Index(self.names(PROFILES, names) if PROFILES in self.codes else [], dtype=object)
        return order.append(pd.Index(names, dtype=object).difference(order, sort=False))

    def without(self, field: str, numbers: np.ndarray) -> KnownIds:
        """Where these numbers are nobody's any more."""
        codes = self.codes[field].copy()
        codes[numbers - 1] = NOBODY
        return KnownIds(self.key, {**self.codes, field: codes})

    def fits(self, dataset: Any) -> bool:
        """Whether users and items of a data set have the numbers that they have here; who is not in the data may have any."""
        own = KnownIds.of(dataset, self.key)
        for field in (dataset.uid_field, dataset.iid_field):
            here, there = self.codes.get(field), own.codes[field]
            if here is None or len(here) != len(there) or ((here != there) & (there != NOBODY)).any():
                return False
        return True


def get_remap_list(original: Callable[..., Any], dataset: Any, fields: Any) -> Any:
    """``Dataset._get_remap_list``: what is numbered together, and before it the ids of a checkpoint in their order.

    Args:
        original: RecBole's own method.
        dataset: RecBole's data set; its config may have the attribute ``known_ids``.
        fields: that share their numbers.
    """
    found = original(dataset, fields)
    known: KnownIds | None = getattr(dataset.config, "known_ids", None)
    if known is None or not found:
        return found
    field = next((name for name in fields if name in known.codes and name not in _entities(dataset)), None)
    if field is None:
        return found
    names = known.names(field, dataset._concat_remaped_tokens(found)[0])
    gone = int(pd.Series(names).str.startswith(_GONE).sum())
    if gone and field == dataset.iid_field:
        dataset.logger.warning(
            f"{gone} of {len(names)} items of the checkpoint are in no interaction or file any more. They keep their numbers, so "
            "they may still be recommended; train again to be rid of them."
        )
    token = type(dataset.field2type[field])("token")
    return [(pd.DataFrame({found[0][1]: names}), found[0][1], token), *found]


def _hashed(names: np.ndarray, key: str) -> np.ndarray:
    """SipHash of each name, (N,) uint64; :data:`NOBODY` for one that :meth:`KnownIds.names` made up."""
    texts = pd.Series(names, dtype=object).astype(str)
    codes = pd.util.hash_array(texts.to_numpy(dtype=object), hash_key=key)
    return np.where(texts.str.startswith(_GONE), np.uint64(NOBODY), codes)


def _entities(dataset: Any) -> tuple[str, ...]:
    """Fields of a knowledge graph, whose numbers RecBole makes of those of the items."""
    names = ("entity_field", "head_entity_field", "tail_entity_field", "relation_field")
    return tuple(getattr(dataset, name) for name in names if hasattr(dataset, name))
