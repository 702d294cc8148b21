"""VADER: how pleasant or unpleasant an English text of social media is, by a lexicon and rules (Hutto and Gilbert 2014)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from recbole_esmr.data.reading.shares import NUMBERED
from recbole_esmr.errors import MissingPackageError
from recbole_esmr.label.labeller import Label


class Vader:
    """Polarity of texts: emoji, negations, intensifiers and capitals count. Its lexicon comes with vaderSentiment (MIT).

    The compound score c in [−1, 1] becomes the shares of unpleasant, neutral and pleasant whose mean is c. The evidence are the
    words of the lexicon, each with what the score loses without it.

    Raises:
        MissingPackageError: vaderSentiment is not installed.
    """

    english = True

    def __init__(self) -> None:
        try:
            from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
        except ImportError as error:
            raise MissingPackageError(
                "the labeller vader needs vaderSentiment: pip install 'recbole-esmr[label]'. Or label with a program of your own "
                "(--command)."
            ) from error
        self.name = f"vader {version('vaderSentiment')}"
        self.emotions = {name: [place, 0.0] for name, place in zip(NUMBERED, (-1.0, 0.0, 1.0), strict=True)}
        self._analyzer: Any = SentimentIntensityAnalyzer()

    def label(self, texts: Sequence[str]) -> Iterator[Label]:
        """One label a text, in order."""
        for text in texts:
            score = self._score(text)
            share = dict(zip(NUMBERED, (max(0.0, -score), 1 - abs(score), max(0.0, score)), strict=True))
            yield Label(share, evidence=self._evidence(text, score))

    def _score(self, text: str) -> float:
        return float(self._analyzer.polarity_scores(text)["compound"])

    def _evidence(self, text: str, score: float) -> tuple[tuple[str, float], ...]:
        """The words that are in the lexicon, with what the score loses without each."""
        words = text.split()
        found = []
        for place, word in enumerate(words):
            bare = word.strip("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").lower() or word
            if bare in self._analyzer.lexicon or word.lower() in self._analyzer.lexicon or word in self._analyzer.emojis:
                found.append((bare, round(score - self._score(" ".join(words[:place] + words[place + 1 :])), 4)))
        return tuple(found)
