"""The stages of ESMR, in order, each timed, saved and resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from recbole_esmr.config import ESMRSettings
from recbole_esmr.data.impressions import Seen
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import TRAIN, VALID
from recbole_esmr.data.user_days import shifted
from recbole_esmr.model.beliefs import Beliefs
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.learned import CAUSAL, ENCODER, ENGAGEMENT, RERANKER, STAGES, Learned
from recbole_esmr.model.ranking import Rankers
from recbole_esmr.progress import Progress, RandomStates, put_back
from recbole_esmr.rl.double_q import fit_value
from recbole_esmr.rl.transitions import Transitions
from recbole_esmr.trainer.causal import causal_stage, learn_responses
from recbole_esmr.trainer.checkpointing import SafeCheckpoints
from recbole_esmr.trainer.emotion import fit_encoder
from recbole_esmr.trainer.engagement import Asked, fit_rankers
from recbole_esmr.trainer.off_policy import find_multipliers, off_policy_estimates, value_report
from recbole_esmr.trainer.reranker import logged_transitions
from recbole_esmr.trainer.retriever import fit_retriever


class ESMRTrainer(SafeCheckpoints):
    """Runs the four stages; RecBole's evaluation, checkpoints and logs are its own.

    1. emotion encoder, 2. retriever and LightGBM, 3. causal effects, 4. offline-RL re-ranker. A stage that the data cannot feed
    is left out with a warning: without people's emotions only the second one runs, and ESMR ranks for engagement.
    """

    model: ESMR

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float] | None]:
        """Train what is not trained yet (all of it, or what a resumed checkpoint lacks), then validate.

        Args and returns are those of RecBole's ``Trainer.fit``; ``callback_fn`` is called once, after the last stage.
        """
        with self.stoppable(saved):
            self._begin(train_data._dataset, saved)
            self.eval_collector.data_collect(train_data)
            if not self._has_ended():
                self._fit_stages(train_data, valid_data, verbose, saved, show_progress)
                self._validate(valid_data, callback_fn)
                if saved:
                    self._save_ended()
                    if verbose:
                        self.logger.info(f"Saving current: {self.saved_model_file}")
            return self.best_valid_score, self.best_valid_result

    def _fit_stages(self, train_data: Any, valid_data: Any, verbose: bool, saved: bool, show_progress: bool) -> None:
        stages: dict[str, Callable[[Progress], bool]] = {
            ENCODER: lambda progress: self._fit_encoder(show_progress, progress),
            ENGAGEMENT: lambda progress: self._fit_engagement(train_data, valid_data, show_progress, progress),
            CAUSAL: lambda progress: self._fit_effects(train_data._dataset.seen, show_progress, progress),
            RERANKER: lambda progress: self._fit_reranker(show_progress, progress),
        }
        progress, numbers = self._progress, RandomStates()
        if progress.kept:
            put_back(numbers, progress.kept.get("random"))
        for number, name in enumerate(STAGES):
            if name in self._learned.done or (name in (CAUSAL, RERANKER) and not self._can_learn_emotion):
                continue
            start = perf_counter()
            progress.kept["random"] = numbers.state_dict()
            if not stages[name](progress.part("stage")):
                continue
            self._learned = self._learned.finished(name, perf_counter() - start)
            if verbose:
                seconds = self._learned.timings[name]
                self.logger.info(f"stage {number + 1}, {name}: {seconds:.1f} s")
            progress.kept = {"random": numbers.state_dict()}
            if saved:
                self._write(progress.kept)
        if not self.config["single_spec"]:
            self._agree()

    def _validate(self, valid_data: Any, callback_fn: Callable[[int, float], None] | None) -> None:
        if not valid_data:
            self.best_valid_score = -1
            return
        result = self.evaluate(valid_data, load_best_model=False, show_progress=False)
        self.best_valid_score, self.best_valid_result = result[self.valid_metric], result
        if callback_fn:
            callback_fn(0, self.best_valid_score)

    def _agree(self) -> None:
        """Give every process the weights of the first, for threads and library versions may differ between them."""
        content = [self.model.state_dict(), self.model.other_parameter()]
        torch.distributed.broadcast_object_list(content, src=0)
        self.model.load_state_dict(content[0])
        self.model.load_other_parameter(content[1])

    # -- stages --------------------------------------------------------------------------------------------------------

    def _fit_encoder(self, show_progress: bool, progress: Progress) -> bool:
        """As every stage: train it, and say whether it is done or left out."""
        if not self._can_learn_emotion:
            self.logger.warning(
                "Nobody reported an emotion on a training day: the encoder is not trained, the gate stays closed."
            )
            return True
        trace, settings = self._log.trace, self._settings.encoder
        fit_encoder(self.model.encoder, [trace], settings, self._generator(1), show_progress, progress)
        return True

    def _fit_engagement(self, train_data: Any, valid_data: Any, show_progress: bool, progress: Progress) -> bool:
        retriever = self.model.retriever
        progress.step("retriever", lambda part: fit_retriever(retriever, train_data, valid_data, show_progress, part))
        retriever.trained = True
        settings, asked = self._settings, self._asked(valid_data) if valid_data else None
        rankers = fit_rankers(*self._parts(), settings.ranker, asked, settings.serving.candidates, self._seed, progress)
        self._learned = replace(self._learned, watch=rankers.watch, views=rankers.views, stack=rankers.stack)
        return True

    def _fit_effects(self, seen: Seen, show_progress: bool, progress: Progress) -> bool:
        (log, beliefs, rankers), kind = self._parts(), self._settings.reward.kind
        found = causal_stage(
            log.trace, seen, rankers.taxonomy.labels, self._settings.causal, self._seed, use=log.trace.role <= VALID,
            discount=self._settings.reranker.discount, forecast=shifted(beliefs.state.mean.numpy(), 1, 0.0),
            show_progress=show_progress, progress=progress,
        )  # fmt: skip
        self._learned = replace(self._learned, causal=found.as_dict())
        of_items = self.model.rankers.effects
        effects, days = self._learned.causal["effects"], self._settings.causal.days
        responses = learn_responses(log, beliefs, effects, of_items, rankers.catalogue, days)
        self._learned = replace(self._learned, responses=responses)
        for question in found.skipped:
            say = self.logger.warning if question["state"] == "all" else self.logger.info
            say(f"No effect on {question['outcome']} ({question['state']}) in the reward: {question['reason']}")
        if kind == "causal" and not of_items.valence.any():
            self.logger.warning(
                "No effect of the feed on tomorrow's valence is proven: the gate stays closed, ESMR ranks for engagement."
            )
        for sentence in found.warnings:
            self.logger.warning(sentence)
        for effect in found.effects:
            if effect.state == "all" and effect.outcome == "valence":
                self.logger.info(
                    f"+0.1 {effect.treatment} → tomorrow's {effect.outcome}: {effect.estimate:+.4f} "
                    f"[{effect.low:+.4f}, {effect.high:+.4f}], naive {effect.naive:+.4f}, weight {effect.weight:+.4f}"
                )
        return True

    def _fit_reranker(self, show_progress: bool, progress: Progress) -> bool:
        settings, (log, beliefs, rankers) = self._settings, self._parts()

        def transitions(purpose: int, part: int) -> Transitions:
            generator = np.random.default_rng([self._seed, purpose])
            return logged_transitions(log, beliefs, rankers, settings.reward, settings.reranker, generator, part)

        days = transitions(3, TRAIN)
        if not len(days.known):
            self.logger.warning(
                "Nobody has two training days with a feed, so nothing is known of what follows one: "
                "the re-ranker is not trained, the gate stays closed."
            )
            return False
        errors = fit_value(self.model.item_value, days, settings.reranker, self._generator(4), show_progress, progress)
        self._learned = self._learned.finished(RERANKER, 0.0)  # the gate may open in what follows
        rule, rankers = settings.serving, self.model.rankers
        multiplier = find_multipliers(log, beliefs, rankers, rule)
        diagnostics = value_report(rankers.value, transitions(6, VALID), errors)
        diagnostics["off_policy"] = off_policy_estimates(log, beliefs, rankers, rule)
        self._learned = replace(self._learned, multiplier=multiplier, diagnostics=diagnostics)
        return True

    # -- what the stages share -------------------------------------------------------------------------------------------

    @property
    def _log(self) -> Log:
        return self.model.log

    def _parts(self) -> tuple[Log, Beliefs, Rankers]:
        return self.model.parts()

    @property
    def _settings(self) -> ESMRSettings:
        return self.model.settings

    @property
    def _learned(self) -> Learned:
        return self.model.learned

    @_learned.setter
    def _learned(self, learned: Learned) -> None:
        self.model.learned = learned

    @property
    def _seed(self) -> int:
        return int(self.config["seed"])

    @property
    def _can_learn_emotion(self) -> bool:
        """Whether anybody reported an emotion on a training day."""
        return self._log.trace.reported_in(TRAIN)

    def _asked(self, valid_data: Any) -> Asked:
        rows, dataset = valid_data._dataset.inter_feat, valid_data._dataset
        user, day, item = (rows[field].numpy() for field in (dataset.uid_field, dataset.day_field, dataset.iid_field))
        return Asked(user, dataset.day_index(day), item)

    def _generator(self, purpose: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed * 10 + purpose)
