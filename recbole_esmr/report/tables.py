"""Tables of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def _why_empty(config: dict[str, Any], parts: Sequence[str]) -> str:
    """Why a run has no figures for parts of the data."""
    unasked = [key for key in ("epochs", "eval_step") if config.get(key) == 0]
    if unasked and parts == ["validation"]:
        return f"{' and '.join(unasked)} is 0, so nothing was validated."
    return f"eval_args {config['eval_args']['split']} leaves no such part of these data."


def run_table(result: dict[str, Any]) -> str:
    """The result of one run for the terminal: RecBole's metrics, and for ESMR each forecaster, effect and the policy."""
    parts = [f"{result['model']} on {result['dataset']}, seed {result['seed']}", ""]
    judged = {"validation": result["best_valid_result"], "test": result["test_result"]}
    if any(judged.values()):
        parts += [_text(pd.DataFrame([figures or {} for figures in judged.values()], index=list(judged)), index=True)]
    empty = [part for part, figures in judged.items() if not figures]
    if empty:
        parts += [f"No figures for {' and '.join(empty)}: {_why_empty(result['config'], empty)}"]
    if result["emotion"]:
        parts += ["", emotion_table(result["emotion"])]
    if result["engagement"]:
        parts += ["", "Engagement on the test days", _engagement(result["engagement"])]
    if result["causal"] and result["causal"]["effects"]:
        parts += ["", "Effect of +0.1 exposure on tomorrow (weight: what the reward uses)"]
        parts += [_text(effect_frame(result["causal"]).query("state == 'all' and outcome == 'valence'"))]
    if result["policy"]:
        policy = result["policy"]
        parts += [
            "",
            f"Policy: reward {policy['reward']}, gate {policy['gate']}, acted on {policy['acted_share']:.1%} of the test days",
        ]
    return "\n".join(parts)


def _engagement(said: dict[str, Any]) -> str:
    """One row for LightGBM and one for the retriever alone; or the reason why there are no figures."""
    if "reason" in said:
        return f"no figures: {said['reason']}"
    rows = {"ESMR": {name: said[name] for name in ("auc", "ndcg@10")}, "retriever alone": said["retriever"]}
    return f"{_text(pd.DataFrame(rows).T, True)}\nskips: {said['skips']}"


def emotion_table(emotion: dict[str, Any]) -> str:
    """The forecasts of the test days for the terminal, and what of the network counts in them."""
    named = emotion["nowcast"] is not None
    title = "Emotion on the test days (nowcast: today; the rest: tomorrow)" if named else "Tomorrow, on the test days"
    if emotion["circular"]:
        title += ": labels are made from behaviour, so the nowcast is circular"
    counts = [f"{name} {share:.2f}" for name, share in emotion["network"].items() if share > 0]
    told = "the level model alone foretells; the network won nowhere on the validation days"
    word = f"the network's residual counts: {', '.join(counts)} (of 1)" if counts else told
    return f"{title}\n{_text(emotion_frame(emotion), True)}\nvalence and risk: {word}"


def emotion_frame(emotion: dict[str, Any]) -> pd.DataFrame:
    """One row a forecaster: the encoder first, then its baselines."""
    said = {"ESMR encoder": emotion, **emotion["baselines"]}
    now = {name: {"nowcast_accuracy": part["nowcast"]["accuracy"]} if part["nowcast"] else {} for name, part in said.items()}
    return pd.DataFrame({name: {**now[name], **part["forecast"]} for name, part in said.items()}).T


def label_lines(done: Any, labeller: str, folder: str) -> str:
    """What labelling has done, for the terminal; ``done`` is of :func:`~recbole_esmr.label.data_set.label_items`."""
    valence, labelled = done.valence[np.isfinite(done.valence)], done.items - done.without_text
    lines = [
        f"{folder}: {labelled} of {done.items} items labelled by {labeller}, {labelled / max(done.seconds, 1e-9):,.0f} texts/s; "
        f"valence {valence.mean():+.2f} on average, {np.mean(valence < 0):.0%} below 0 and {np.mean(valence > 0):.0%} above"
    ]
    if done.without_text:
        lines.append(f"{done.without_text} items have no text and so no emotion")
    lines += [note[0].upper() + note[1:] for note in done.notes]
    if done.agreement:
        of = {name: f"{number:.2f}" for name, number in done.agreement.items()}
        shrunk = f"{of['attenuation']} [{of['attenuation_low']}, {of['attenuation_high']}]"
        lines.append(
            f"With people on {done.agreement['items']:.0f} items: Krippendorff's alpha {of['alpha']}, correlation "
            f"{of['correlation']}. An effect of the labels is about {shrunk} of that of what people see"
        )
    return "\n".join(lines)


def felt_line(done: Any, folder: str) -> str:
    """What labelling by feelings has done; ``done`` is of :func:`~recbole_esmr.label.felt.label_felt`."""
    said = (
        f"{folder}: {done.labelled} of {done.items} items have the valence that people felt after them, by {done.moments} moments"
    )
    rest = f"each person's last fifth, {done.left_out}, is left for tests"
    return f"{said} ({rest}); what items do has an SD of {done.signal:.3f}"


def effect_frame(causal: dict[str, Any]) -> pd.DataFrame:
    """One row an effect: estimate, interval, back-door estimate, naive association, what refuted it, weight."""
    rows = []
    for effect in causal["effects"]:
        tried = effect["refutations"]
        failed = [name for name, refutation in tried.items() if not refutation["passed"]]
        rows.append(
            {name: effect[name] for name in ("treatment", "outcome", "state", "estimate", "low", "high")}
            | {"back_door": effect["backdoor"]["estimate"], "naive": effect["naive"]}
            | {"refuted_by": ", ".join(failed) or ("none" if tried else "-")}
            | {"detectable": effect["detectable"], "weight": effect["weight"], "n_user_days": effect["n_user_days"]}
        )
    columns = (
        "treatment",
        "outcome",
        "state",
        "estimate",
        "low",
        "high",
        "back_door",
        "naive",
        "refuted_by",
        "detectable",
        "weight",
        "n_user_days",
    )
    return pd.DataFrame(rows, columns=list(columns))


def moment_frame(causal: dict[str, Any]) -> pd.DataFrame:
    """One row an effect of the moment: among items drawn at random, among chosen ones, their difference, the naive slope."""
    rows = []
    for effect in causal["moments"]["effects"]:
        parts = {name: effect[name] for name in ("random", "chosen", "difference")}
        rows.append(
            {name: effect[name] for name in ("treatment", "outcome")}
            | {f"{name} items": _estimate(part) for name, part in parts.items() if name != "difference"}
            | {"naive": effect["naive"], "chosen - random": _estimate(parts["difference"])}
            | {f"{name} rows": int(part.get("rows", 0)) for name, part in parts.items() if name != "difference"}
            | {"SD of the treatment": effect["spread"]}
        )
    return pd.DataFrame(rows)


def _estimate(part: dict[str, float]) -> str:
    return f"{part['estimate']:+.3f} [{part['low']:+.3f}, {part['high']:+.3f}]" if part else "-"


def causal_table(result: dict[str, Any]) -> str:
    """All effects of a log for the terminal, with what to be warned of."""
    effects = result["effects"]
    by = {"slate": "what was shown", "back-door": "what was watched, adjusted"}
    how = by[effects[0]["identified_by"]] if effects else "nothing could be estimated"
    parts = [f"Effects of +0.1 of a treatment on the next day, {result['config']['dataset']}; identified by {how}", ""]
    if effects:
        parts += [_text(effect_frame(result))]
        parts += ["", "refuted_by: - where the interval holds 0 and no refutation was tried; detectable: the smallest effect"]
        parts += ["that is found with a chance of 80 %; weight: discounted by its uncertainty; of traits, what the reward uses"]
    if result["moments"]["effects"]:
        parts += ["", "Effects of an item on how people feel just after it, within persons; from 1 of the treatment", ""]
        parts += [_text(moment_frame(result))]
    parts += [f"\nWARNING {sentence}" for sentence in result["warnings"]]
    parts += [f"\nNot estimated: {q['outcome']}, {q['state']}: {q['reason']}" for q in result["skipped"]]
    parts += [f"\nNot estimated: {q['outcome']}, items {q['rows']}: {q['reason']}" for q in result["moments"]["skipped"]]
    if not any(effect["weight"] for effect in effects):
        parts += [
            "",
            "No usable effect: all weights are 0. With the causal reward the gate stays closed and ESMR ranks for engagement.",
        ]
    return "\n".join(parts)


def tuning_table(result: dict[str, Any], most: int = 10) -> str:
    """The best trials of a search for the terminal."""
    rows = [{result["valid_metric"]: trial["score"], **trial["keys"]} for trial in result["trials"][:most]]
    best = " ".join(f"--{key}={value}" for key, value in result["best"]["keys"].items())
    said = f"{result['model']} on {result['dataset']}: {len(result['trials'])} trials by the validation part, the best first"
    return f"{said}\n\n{_text(pd.DataFrame(rows))}\n\nThe best keys: {best}"


def evaluation_table(result: dict[str, Any]) -> str:
    """A trained model's figures for the terminal."""
    judged = {"validation": result["valid_result"], "test": result["test_result"]}
    frame = pd.DataFrame([figures or {} for figures in judged.values()], index=list(judged))
    return f"{result['model']} on {result['dataset']}, {result['checkpoint']}\n\n{_text(frame, index=True)}"


def audit_frame(result: dict[str, Any]) -> pd.DataFrame:
    """One row a policy and arm: shares on offer and shown, and what dwelling on it adds, over chance and over the control."""
    rows = []
    for name, arms in result["policies"].items():
        for arm in arms:
            late = max(len(arm["share"]) // 3, 1)
            rows.append(
                {"policy": name, "puppets dwell on": arm["arm"], "on offer": f"{arm['on_offer']:.3f}"}
                | {"first slate": f"{arm['share'][0]:.3f}", "last third": f"{np.mean(arm['share'][-late:]):.3f}"}
                | {"over offer": _bare(arm["over_offer"]), "effect": _bare(arm["effect"])}
                | {"control": _bare(arm["control"]), "beyond control": _bare(arm["beyond_control"])}
                | {"place": f"{arm['place']:.2f}"}
            )
    return pd.DataFrame(rows)


def _bare(value: dict[str, float]) -> str:
    return f"{value['mean']:+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]"


def audit_table(result: dict[str, Any]) -> str:
    """An audit for the terminal."""
    said = result["config"]
    lines = [
        f"{said['puppets']} puppets of each group are shown {said['rounds']} slates of {said['slate']} items of "
        f"{said['dataset']}; means and 95 % intervals over puppets, last third of the rounds",
        "",
        _text(audit_frame(result)),
        "",
        "over offer: aligned share of what is shown less that of what is on offer; effect: less that of what is shown to puppets",
        "that watch by chance; control: the effect of a label that means nothing; place: of aligned items, 0 first, 1 last",
    ]
    return "\n".join([*lines, *log_lines_of_audit(result["log"]), *leak_lines(result)])


def leak_frame(said: dict[str, Any]) -> pd.DataFrame:
    """One row a way to rank, one column a bystander: how well a negative day can be told from its slate, as an AUC."""
    rows = []
    for name, by in said["auc"].items():
        rows.append({"slates of": name, **{who: _interval(value, _leaks(value)) for who, value in by.items()}})
    return pd.DataFrame(rows)


def _leaks(value: dict[str, Any]) -> bool:
    return bool(value["low"] > 0.5)


def leak_lines(result: dict[str, Any]) -> list[str]:
    """What slates tell of moods, by each ESMR that was audited."""
    lines = []
    for name, said in result.get("leak", {}).items():
        if said is None:
            lines.append(f"{name}: the held-out days hold too few reports to say what slates tell of moods")
            continue
        lines += [
            "",
            f"{name}: how well a bystander tells negative days from their slates (AUC, 0.5 is chance) on {said['days']} held-out "
            f"days of {said['people']} people; * above chance beyond the interval",
            "",
            _text(leak_frame(said)),
        ]
    return lines


def log_lines_of_audit(log: dict[str, Any] | None) -> list[str]:
    """What real slates have to do with the mood of the day before."""
    if log is None:
        return []
    said = {name: _bare(log[name]) for name in ("aligned", "by_lot", "beyond_lot")}
    return [
        f"Of {log['slates']} real slates that followed a report {said['aligned']} expresses the emotion of the day before; with "
        f"moods dealt out by lot {said['by_lot']}; beyond that {said['beyond_lot']}"
    ]


def explanation_lines(result: dict[str, Any], most: int = 100) -> str:
    """What ``explain`` found for the terminal: all people together, then a sentence a slate, at most so many."""
    said = result["summary"]
    share = said["changed"] / max(said["slates"], 1)
    lines = [
        f"{said['slates']} slates; {said['changed']} ({share:.1%}) are not the engagement ranking's, with "
        f"{said['items_changed']:.1f} "
        f"other items each; {said['engagement_kept']:.1%} of the expected engagement is kept"
    ]
    lines += [f"  {count} mostly for {reason}" for reason, count in said["reasons"].items()]
    if result["slates"] is None:
        return "\n".join(
            [*lines, "", "By name only with --export_emotions=True, for it says what is believed of people's moods."]
        )
    lines += ["", *(slate["sentence"] for slate in result["slates"][:most])]
    if len(result["slates"]) > most:
        lines += [f"... and {len(result['slates']) - most} more; --output=FILE holds all."]
    return "\n".join(lines)


def power_table(result: dict[str, Any]) -> str:
    """How many people it takes, for the terminal."""
    config = result["config"]
    logs, days = config["logs"], config["days"]
    said = {key: "no size that was asked" if result[key] is None else f"{result[key]:,} people" for key in ("enough", "helps")}
    return "\n".join(
        [
            f"World {result['world']}, {logs} logs of {days} days of each size",
            "",
            _text(pd.DataFrame(result["sizes"])),
            "",
            f"The effects are found in 80 % of the logs from: {said['enough']}",
            f"What is believed reaches half of what the truth would, from: {said['helps']}",
            "reach: correlation over the items of believed and true effects, 0 where nothing is found; detectable: the smallest",
            "effect of +0.1 exposure to one trait of items on tomorrow's reported valence that is found with a chance of 80 %",
        ]
    )


ROLLOUT_COLUMNS = (
    *(
        "gain",
        "gain_informed",
        "negative_day_share",
        "episode_days",
        "recovery_days",
        "recovery_median",
        "volatility_sd",
        "volatility_rmssd",
        "valence",
    ),
    *("engagement", "watch_time", "retention", "acted_share", "worse_off_share", "worst_decile_change"),
)


def rollout_table(result: dict[str, Any]) -> str:
    """A rollout for the terminal: every policy's figures with intervals, and where they differ from the compared policy's."""
    people, usual = result["config"]["users"], result["compared_with"]
    seeds = ", ".join(map(str, result["seed"]))
    whose = "new people" if result["config"]["new_people"] else "people after their log"
    head = f"World {result['world']}: {people} {whose}, {result['config']['days']} days, seeds {seeds}; mean [95 % interval]"
    note = f"* differs from {usual} beyond the interval of the paired difference"
    return "\n".join([head, "", _text(rollout_frame(result), True), "", note])


def rollout_frame(result: dict[str, Any], policies: dict[str, Any] | None = None) -> pd.DataFrame:
    """One row a figure, one column a policy: ``mean [low, high]``, a star where it differs from the compared policy's."""
    policies = result["policies"] if policies is None else policies
    return pd.DataFrame(
        {
            name: {figure: _interval(part[figure], _differs(part, figure)) for figure in ROLLOUT_COLUMNS if figure in part}
            for name, part in policies.items()
        }
    )


def groups_table(result: dict[str, Any], figure: str = "negative_day_share") -> str:
    """One figure by subgroup for the terminal."""
    return f"{figure} by group\n\n{_text(groups_frame(result, figure).set_index('group').rename_axis(None), True)}"


def harm_lines(result: dict[str, Any]) -> str:
    """Who is worse off under which policy, a line each."""
    if not result["harms"]:
        return f"No group is worse off on average than under {result['compared_with']} beyond the interval."
    lines = [
        f"  {harm['group']} under {harm['policy']}: {harm['figure'].replace('_', ' ')} {harm['mean']:+.4f} "
        f"[{harm['low']:+.4f}, {harm['high']:+.4f}]"
        for harm in result["harms"]
    ]
    return "\n".join([f"Worse off on average than under {result['compared_with']}, beyond the interval:", *lines])


def groups_frame(result: dict[str, Any], figure: str = "negative_day_share") -> pd.DataFrame:
    """One figure by subgroup, one row a group, one column a policy."""
    rows = [
        {"group": group, **{name: _interval(part[figure], _differs(part, figure)) for name, part in policies.items()}}
        for group, policies in result["groups"].items()
        if policies
    ]
    return pd.DataFrame(rows)


def _differs(part: dict[str, Any], figure: str) -> bool:
    change = part.get("difference", {}).get(figure)
    return change is not None and (change["low"] > 0 or change["high"] < 0)


def _interval(value: dict[str, float], starred: bool) -> str:
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]{'*' if starred else ' '}"


def protocol_table(protocol: dict[str, Any], notes: Sequence[str] = ()) -> str:
    """What holds for every model of a comparison, a line each; keys that are not set are left out."""
    set_keys = {key: value for key, value in protocol.items() if value not in (None, {}, [])}
    width = max(map(len, set_keys))
    lines = [f"  {key:<{width}}  {value}" for key, value in set_keys.items()]
    return "\n".join(["The same for every model:", *lines, *(f"NOTE {note}" for note in notes)])


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet takes for a formula (OWASP, CSV injection)."""


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV for people: texts that a spreadsheet would run as a formula get an apostrophe before them; numbers stay."""

    def harmless(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value

    return frame.apply(lambda column: column.map(harmless)).rename(columns=harmless).to_csv(index=False)


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table, four decimals a number."""
    text = frame.apply(lambda column: column.map(_cell))
    return text.to_markdown(index=False, disable_numparse=True) + "\n"  # what is text already stays as it is


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float | np.floating) else str(value)


def _text(frame: pd.DataFrame, index: bool = False) -> str:
    return frame.to_string(index=index, float_format=lambda value: f"{value:.4f}")
