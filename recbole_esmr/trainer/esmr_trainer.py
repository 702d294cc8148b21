"""The stages of ESMR, in order, each timed, saved and resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from recbole_esmr.checkpoint import load_attributes
from recbole_esmr.config import ESMRSettings
from recbole_esmr.data.dataset import ESMRDataset
from recbole_esmr.data.impressions import Seen
from recbole_esmr.data.log import Log
from recbole_esmr.data.trace import TRAIN, VALID
from recbole_esmr.model.esmr import ESMR
from recbole_esmr.model.learned import CAUSAL, ENCODER, ENGAGEMENT, FINAL, RERANKER, STAGES, Learned
from recbole_esmr.model.retriever import Retriever
from recbole_esmr.neighbours import torch_threads
from recbole_esmr.progress import Progress, RandomStates, put_back
from recbole_esmr.rl.double_q import fit_value
from recbole_esmr.rl.transitions import Transitions
from recbole_esmr.trainer.causal import answers, causal_question, learn_responses
from recbole_esmr.trainer.checkpointing import SafeCheckpoints
from recbole_esmr.trainer.emotion import fit_encoder
from recbole_esmr.trainer.engagement import Asked, fit_rankers, fit_rankers_again
from recbole_esmr.trainer.held_out import engagement_report
from recbole_esmr.trainer.off_policy import find_multipliers, off_policy_estimates, value_report
from recbole_esmr.trainer.reranker import logged_transitions
from recbole_esmr.trainer.retriever import fit_retriever
from recbole_esmr.trainer.scalars import figures_in, noted_by

RETRIEVER, LAST_RETRIEVER = "retriever", "last retriever"
"""Steps of the second and of the last stage."""


class ESMRTrainer(SafeCheckpoints):
    """Runs the five stages; RecBole's evaluation, checkpoints and logs are its own.

    1. emotion encoder, 2. retriever and LightGBM, 3. causal effects, 4. offline-RL re-ranker, 5. retriever and LightGBM once
    more, on all rows that may be learned from, when everything has been chosen on held-out days. A stage that the data cannot
    feed is left out with a warning: without people's emotions the second and the last one run, and ESMR ranks for engagement.

    Its own networks compute on one thread of the CPU. Their batches are small, so that more threads bring nothing, and sums that
    are made in another order would make the result depend on the machine.
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
        self._threads = torch.get_num_threads()
        with self.stoppable(saved), torch_threads(1):
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

    def evaluate(self, *arguments: Any, **options: Any) -> Any:
        """RecBole's evaluation, on one thread like the training."""
        with torch_threads(1):
            return super().evaluate(*arguments, **options)

    def _fit_stages(self, train_data: Any, valid_data: Any, verbose: bool, saved: bool, show_progress: bool) -> None:
        stages: dict[str, Callable[[Progress], bool]] = {
            ENCODER: lambda progress: self._fit_encoder(show_progress, progress),
            ENGAGEMENT: lambda progress: self._fit_engagement(train_data, valid_data, show_progress, progress),
            CAUSAL: lambda progress: self._fit_effects(train_data._dataset.seen, show_progress, progress),
            RERANKER: lambda progress: self._fit_reranker(show_progress, progress),
            FINAL: lambda progress: self._fit_again(train_data, valid_data, show_progress, progress),
        }
        self._back_to_training_days(train_data._dataset)
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
        noted_by(self, "valid")(result, 0)
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
        encoder, note = self.model.encoder, noted_by(self, "encoder")
        fit_encoder(encoder, [trace], settings, self._generator(1), show_progress, progress, note)
        note({f"counts_{name}": share for name, share in encoder.believed().items()}, settings.epochs)
        return True

    def _fit_engagement(self, train_data: Any, valid_data: Any, show_progress: bool, progress: Progress) -> bool:
        data = train_data._dataset.on_training_days()
        progress.step(RETRIEVER, lambda part: self._fit_retriever(data, valid_data, show_progress, part))
        settings, asked = self._settings, self._asked(valid_data) if valid_data else None
        log, beliefs, rankers = self.model.parts(settings.ranker.people)
        asked = asked and asked.of(log)
        rankers = fit_rankers(log, beliefs, rankers, settings.ranker, asked, settings.serving.candidates, self._seed, progress)
        self._learned = replace(self._learned, watch=rankers.watch, views=rankers.views, stack=rankers.stack)
        noted_by(self, "engagement")({"watch_rounds": rankers.watch.rounds, "views_rounds": rankers.views.rounds}, 0)
        return True

    def _fit_effects(self, seen: Seen, show_progress: bool, progress: Progress) -> bool:
        trace, kind, settings = self._log.trace, self._settings.reward.kind, self._settings.causal
        use = trace.role <= VALID
        question = causal_question(
            trace, seen, self.model.taxonomy.labels, settings, self._seed, use, self._settings.reranker.discount,
            forecast=self.model.foretold(),
        )  # fmt: skip
        found = answers(question, settings, show_progress, progress)
        causal = found.as_dict()
        responses = learn_responses(question[0], causal["effects"], trace, use)
        price = {"elasticity": responses.elasticity, "mood_cost": responses.mood_cost}
        diagnostics = {**self._learned.diagnostics, "price": price}
        self._learned = replace(self._learned, causal=causal, responses=responses, diagnostics=diagnostics)
        self.logger.info(
            "The budget pays beside watch time what a better mood may take from it (mood_cost "
            f"{responses.mood_cost:.3f}) and who may not come back (elasticity {responses.elasticity:.3f})."
        )
        told = [effect for effect in found.effects if effect.state == "all" and effect.outcome == "valence"]
        noted_by(self, "causal")({effect.treatment: effect.estimate for effect in told}, 0)
        for left_out in found.skipped:
            say = self.logger.warning if left_out["state"] == "all" else self.logger.info
            say(f"No effect on {left_out['outcome']} ({left_out['state']}) in the reward: {left_out['reason']}")
        if kind == "causal" and not self.model.rankers.effects.any:
            self.logger.warning(
                "No effect of the feed on tomorrow's valence is proven: the gate stays closed, ESMR ranks for engagement."
            )
        for sentence in found.warnings:
            self.logger.warning(sentence)
        for effect in told:
            self.logger.info(
                f"+0.1 {effect.treatment} → tomorrow's {effect.outcome}: {effect.estimate:+.4f} "
                f"[{effect.low:+.4f}, {effect.high:+.4f}], naive {effect.naive:+.4f}, weight {effect.weight:+.4f}"
            )
        return True

    def _fit_reranker(self, show_progress: bool, progress: Progress) -> bool:
        settings = self._settings
        log, beliefs, rankers = self.model.parts(settings.reranker.people)

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
        value, note = self.model.item_value, noted_by(self, "reranker")
        errors = fit_value(value, days, settings.reranker, self._generator(4), show_progress, progress, note)
        self._learned = self._learned.finished(RERANKER, 0.0)  # the gate may open in what follows
        rule, rankers = settings.serving, self.model.rankers
        multiplier, chosen = find_multipliers(log, beliefs, rankers, rule)
        diagnostics = value_report(rankers.value, transitions(6, VALID), errors)
        note(dict(figures_in(diagnostics["calibration"], "calibration_")), settings.reranker.epochs)
        diagnostics["off_policy"] = off_policy_estimates(log, beliefs, rankers, chosen)
        self._learned = replace(self._learned, multiplier=multiplier, diagnostics={**self._learned.diagnostics, **diagnostics})
        return True

    def _fit_again(self, train_data: Any, valid_data: Any, show_progress: bool, progress: Progress) -> bool:
        """With all of RecBole's training rows, as the models beside ESMR are trained; test rows are none of them.

        What the test days say of the engagement ranking is asked before, for some of these rows lie on test days.
        """
        settings, diagnostics = self._settings, self._learned.diagnostics
        if "engagement" not in diagnostics:
            some = self.model.parts(settings.ranker.people)
            report = engagement_report(*some, settings.ranker.negatives, self._seed)
            self._learned = replace(self._learned, diagnostics={**diagnostics, "engagement": report})
            noted_by(self, "engagement")(dict(figures_in(report)), 0)
        data = train_data._dataset
        progress.step(LAST_RETRIEVER, lambda part: self._fit_retriever(data, valid_data, show_progress, part))
        rankers = fit_rankers_again(*self.model.parts(settings.ranker.people), settings.ranker, self._seed)
        self._learned = replace(self._learned, watch=rankers.watch, views=rankers.views)
        return True

    def _fit_retriever(self, data: ESMRDataset, valid_data: Any, show_progress: bool, progress: Progress) -> None:
        """A new retriever, trained on these rows, on as many threads as there are: it is RecBole's model."""
        self.model.retriever = retriever = Retriever(self.model.retriever.config, data)
        with torch_threads(self._threads):
            fit_retriever(retriever, data, valid_data, show_progress, progress)
        retriever.trained = True

    def _back_to_training_days(self, data: ESMRDataset) -> None:
        """The retriever of a training that goes on before its last fit: some models hold a graph of the rows they learn from."""
        kept, stage = self.model.retriever, self._progress.kept.get("stage") or {}
        if FINAL in self._learned.done or LAST_RETRIEVER in stage or not (ENGAGEMENT in self._learned.done or RETRIEVER in stage):
            return
        self.model.retriever = Retriever(kept.config, data.on_training_days())
        self.model.retriever.load_state_dict(kept.state_dict())
        load_attributes(self.model.retriever.model, kept.other_parameter())
        self.model.retriever.trained = True

    # -- what the stages share -------------------------------------------------------------------------------------------

    @property
    def _log(self) -> Log:
        return self.model.log

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
