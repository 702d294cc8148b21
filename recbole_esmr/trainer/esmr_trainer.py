"""The stages of ESMR, in order, each timed, saved and resumable."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch
from recbole.utils import calculate_valid_score, set_color
from torch.nn import functional

from recbole_esmr.data.trace import VALID
from recbole_esmr.model.esmr import ESMR, STAGES
from recbole_esmr.trainer.causal import causal_stage, learn_responses
from recbole_esmr.trainer.checkpointing import SafeCheckpoints
from recbole_esmr.trainer.emotion import fit_encoder
from recbole_esmr.trainer.engagement import fit_rankers, fit_retriever
from recbole_esmr.trainer.off_policy import diagnose, find_multipliers
from recbole_esmr.trainer.offline_rl import fit_reranker, logged_days


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
        self._remember_ids(train_data._dataset)
        self.eval_collector.data_collect(train_data)
        stages: dict[str, Callable[[], None]] = {
            "emotion encoder": lambda: self._fit_encoder(show_progress),
            "engagement": lambda: self._fit_engagement(train_data, valid_data, show_progress),
            "causal reward": lambda: self._fit_effects(show_progress),
            "re-ranker": lambda: self._fit_reranker(show_progress),
        }
        for number, name in enumerate(STAGES):
            if name in self.model.stages_done:
                continue
            if name in ("causal reward", "re-ranker") and not self.model.can_learn_emotion:
                continue
            start = perf_counter()
            stages[name]()
            self._mark_done(name)
            self.model.timings[name] = round(perf_counter() - start, 2)
            if verbose:
                self.logger.info(set_color(f"stage {number + 1}, {name}", "green") + f": {self.model.timings[name]:.1f} s")
            if saved:
                self._save_checkpoint(number, verbose=False)
        if not self.config["single_spec"]:
            self._agree()
        if valid_data:
            result = self.evaluate(valid_data, load_best_model=False, show_progress=False)
            self.best_valid_score, self.best_valid_result = calculate_valid_score(result, self.valid_metric), result
            if callback_fn:
                callback_fn(0, self.best_valid_score)
        else:
            self.best_valid_score = -1
        if saved:
            self._save_checkpoint(len(STAGES) - 1, verbose=verbose)
        return self.best_valid_score, self.best_valid_result

    def evaluate(self, eval_data, load_best_model=True, model_file=None, show_progress=False):
        self.model.refresh()
        return super().evaluate(eval_data, load_best_model, model_file, show_progress)

    def _agree(self) -> None:
        """Give every process the weights of the first, for threads and library versions may differ between them."""
        content = [self.model.state_dict(), self.model.other_parameter()]
        torch.distributed.broadcast_object_list(content, src=0)
        self.model.load_state_dict(content[0])
        self.model.load_other_parameter(content[1])

    def _fit_encoder(self, show_progress: bool) -> None:
        model = self.model
        if not model.can_learn_emotion:
            self.logger.warning(
                "Nobody reported an emotion on a training day: the encoder is not trained, the gate stays closed."
            )
            return
        fit_encoder(model.encoder, [model.trace], model.settings, self._generator(1), show_progress)
        model.refresh()

    def _fit_engagement(self, train_data: Any, valid_data: Any, show_progress: bool) -> None:
        fit_retriever(self.model, train_data, valid_data, show_progress)
        fit_rankers(self.model, valid_data, np.random.default_rng([self.config["seed"], 2]))

    def _fit_effects(self, show_progress: bool) -> None:
        model = self.model
        forecast = functional.pad(model.day_state().mean, (1, 0))[:, :-1].numpy()
        found = causal_stage(
            model.trace, model.impressions, model.catalogue, model.taxonomy.labels, model.settings, self.config["seed"],
            use=model.trace.role <= VALID, forecast=forecast, show_progress=show_progress,
        )  # fmt: skip
        model.causal = found.as_dict()
        model.refresh()
        model.responses = learn_responses(model)
        for question in found.skipped:
            log = self.logger.warning if question["state"] == "all" else self.logger.info
            log(f"No effect on {question['outcome']} ({question['state']}) in the reward: {question['reason']}")
        if model.settings.reward == "causal" and not model.item_effects().valence.any():
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

    def _fit_reranker(self, show_progress: bool) -> None:
        model, seed = self.model, self.config["seed"]
        days = logged_days(model, np.random.default_rng([seed, 3]))
        errors = fit_reranker(model.item_value, days, model.settings, self._generator(4), show_progress)
        self._mark_done("re-ranker")  # the gate may open in what follows
        model.multiplier = find_multipliers(model)
        model.diagnostics = diagnose(model, errors, np.random.default_rng([seed, 6]))

    def _mark_done(self, stage: str) -> None:
        if stage not in self.model.stages_done:
            self.model.stages_done.append(stage)
        self.model.refresh()

    def _generator(self, purpose: int) -> torch.Generator:
        return torch.Generator().manual_seed(int(self.config["seed"]) * 10 + purpose)
