"""Explanations: parts that add up, signs that are right, reasons that lift the item, and nobody's mood unless asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_esmr.causal.effects import UNIT
from recbole_esmr.cli import main
from recbole_esmr.config import Config
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.explanation import _said, explain, slates_of
from recbole_esmr.model.ranking import Rankers
from recbole_esmr.model.reasons import DOUBT, ENGAGEMENT, LEARNED, _kinds
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from recbole_esmr.trained_models import recommend
from recbole_esmr.trainer.off_policy import find_multipliers
from tests.conftest import QUICK


@pytest.fixture(scope="module")
def checkpoint(data_path, tmp_path_factory):
    """An ESMR whose gate is open and whose reward is causal; on so few days no effect is proven."""
    folder = tmp_path_factory.mktemp("explained")
    keys = {**QUICK, "data_path": str(data_path), "checkpoint_dir": str(folder), "gate": "forecast", "reward": "causal"}
    return run_recbole("ESMR", "small", config_dict=keys, arguments=[])["checkpoint"]


@pytest.fixture(scope="module")
def planted(checkpoint):
    """The same with effects of all kinds of traits planted: (model, dataset)."""
    _, model, dataset, *_ = load_data_and_model(checkpoint)
    rng = np.random.default_rng(3)
    effects = [
        {
            "treatment": name, "outcome": "valence", "state": "all", "estimate": float(weight), "low": float(weight) - 0.02,
            "high": float(weight) + 0.02, "weight": float(weight),
        }
        for name, weight in zip(model.traits.names, rng.normal(0, 0.05, len(model.traits)), strict=True)
    ]  # fmt: skip
    model.learned = replace(model.learned, causal={**model.learned.causal, "effects": effects})
    rule = replace(model.settings.serving, min_engagement=0.9, min_engagement_slate=0.7)
    model.settings = replace(model.settings, serving=rule)
    model.learned = replace(model.learned, multiplier=find_multipliers(*model.parts(), rule)[0])
    return model, dataset


@pytest.fixture(scope="module")
def slates(planted):
    """Everybody's slates on every day."""
    model, _ = planted
    people, days = np.arange(1, model.log.trace.users), np.arange(1, model.log.trace.days + 1)
    return slates_of(model, np.repeat(people, len(days)), np.tile(days, len(people)))


def test_the_parts_add_up_to_what_the_candidates_are_ranked_by(slates):
    value, real = slates.ranking.value.double(), slates.ranking.value > -torch.inf
    assert torch.allclose(slates.reasons.part.sum(dim=-1)[real], value[real], atol=1e-6)
    left_alone = slates.ranking.weight == 0
    others = [place for place, name in enumerate(slates.reasons.names) if name != ENGAGEMENT]
    assert not slates.reasons.part[left_alone][..., others].any()


def test_traits_whose_names_hold_a_comma_stay_apart(planted):
    model, _ = planted
    value = model.traits.value[:, :2]
    named = replace(model.traits, names=("exposure_category=news, a", "exposure_category=news, b"), groups=("category",) * 2,
                    value=value, unit=np.ones(2), state=np.full(2, -1))  # fmt: skip
    names, groups = _kinds(named)
    assert names == ["category=news, a", "category=news, b"] and groups == [[0], [1]]
    apart = replace(named, names=("exposure_angry, stable", "exposure_angry, vulnerable"), state=np.array([0, 1]))
    assert _kinds(apart) == (["angry"], [[0, 1]])


def test_the_engagement_part_is_what_the_engagement_ranking_ranks_by(slates):
    part, real = slates.reasons.part[..., slates.reasons.names.index(ENGAGEMENT)], slates.ranking.value > -torch.inf
    assert torch.allclose(part[real], slates.ranking.candidates.engagement[real], atol=1e-6)


def _rows(slates, planted):
    model, dataset = planted
    return [_said(slates, place, model, dataset) for place in range(len(slates.ranking.weight))]


def test_the_stated_direction_is_that_of_what_was_swapped(slates, planted):
    """In every slate, by numbers that the explanation does not use: what items are, and the planted effects."""
    model, dataset = planted
    effect = {one["treatment"].removeprefix("exposure_"): one["weight"] for one in model.learned.causal["effects"]}
    column = {name.removeprefix("exposure_"): place for place, name in enumerate(model.traits.names)}
    id_of = {str(name): number for number, name in enumerate(dataset.field2id_token[dataset.iid_field])}
    seen = 0
    for place, row in enumerate(_rows(slates, planted)):
        if not row["acted"] or row["reason"] in (None, LEARNED, DOUBT):
            continue
        candidates = slates.ranking.candidates
        ratio = dict(zip(candidates.item[place].tolist(), candidates.ratio[place].tolist(), strict=True))

        def brings(items, of=row["reason"], ratio=ratio):
            return sum(model.traits.value[id_of[item], column[of]] * ratio[id_of[item]] for item in items)

        change, weight = brings(row["shown_instead"]) - brings(row["left_out"]), effect[row["reason"]]
        assert change * weight > 0, row["sentence"]
        assert f"{'more' if change > 0 else 'less'} {row['reason'].replace('=', ' ')}, which" in row["sentence"]
        assert f"which {'lifts' if weight > 0 else 'lowers'} the mood" in row["sentence"]
        seen += 1
    assert seen > 100, "so many slates are another than the engagement ranking's"


def test_taking_the_named_reason_away_lowers_the_item(slates, planted):
    names, value = slates.reasons.names, slates.ranking.value.double()
    taken = {name: slates.reasons.without(name) for name in names}
    number = {str(name): place for place, name in enumerate(planted[1].field2id_token[planted[1].iid_field])}
    seen = 0
    for place, row in enumerate(_rows(slates, planted)):
        for item in row["items"]:
            if item["lifted_by"] is None:
                continue
            column = int((slates.ranking.candidates.item[place] == number[item["item"]]).nonzero()[0])
            before, after = float(value[place, column]), float(taken[item["lifted_by"]][place, column])
            others = torch.cat([value[place, :column], value[place, column + 1 :]])
            assert after < before and (others > after).sum() >= (others > before).sum()
            seen += 1
    assert seen > 1000


def test_without_a_trait_the_ranking_itself_would_put_the_item_lower(slates, planted):
    """The same by the re-ranker itself, where the named trait has no effect: beside the others the item is worth less."""
    model, _ = planted
    acted = slates.ranking.acted.nonzero().squeeze(1)[:40]
    checked = 0
    for place in acted.tolist():
        said = _said(slates, place, *planted)
        item = next((one for one in said["items"] if one["lifted_by"] not in (None, LEARNED, DOUBT)), None)
        if item is None:
            continue
        names = planted[1].field2id_token[planted[1].iid_field]
        internal = int(np.flatnonzero(names == item["item"])[0])
        column = model.traits.names.index(f"exposure_{item['lifted_by']}")
        weight = model.learned.causal["effects"][column]["weight"]
        changed = model.rankers.effects.valence - model.traits.value[:, column] * weight / UNIT
        row, day = slates.ranking.candidates.row[place], slates.ranking.candidates.day[place]
        rankers: Rankers = replace(model.rankers, effects=replace(model.rankers.effects, valence=changed))
        part = slates.ranking.candidates.take(torch.tensor([place]))
        effect = rankers.effect(slates.log.people[[row]], part.item.numpy()) * part.ratio.numpy()
        other = replace(part, effect=torch.from_numpy(effect).float())
        state = slates.beliefs.morning[[row], [day]]
        at = int((part.item[0] == internal).nonzero()[0])
        before, after = (rankers.benefit(some, state, 0.0)[0, at] for some in (part, other))
        assert after < before
        checked += 1
    assert checked > 10


def test_the_slates_are_those_that_recboles_scores_give(slates, planted):
    model, _ = planted
    rows = slice(0, 200)
    user, day = slates.log.people[slates.ranking.candidates.row[rows]], slates.ranking.candidates.day[rows]
    best = model.score(user, day).topk(model.slate_size).indices.cpu().numpy()
    assert np.array_equal(best, slates.ranking.items[rows])


def test_without_being_asked_nobody_is_named(checkpoint, capsys):
    assert main(["explain", f"--checkpoint={checkpoint}", "--output=all.json"]) == 0
    said = capsys.readouterr().out
    result = json.loads(Path("all.json").read_text())
    assert result["slates"] is None and result["summary"]["slates"] == 40
    assert "40 slates; 0 (0.0%)" in said and "u1" not in said.replace("u17", "")
    assert not [f'"u{number}"' for number in range(40) if f'"u{number}"' in Path("all.json").read_text()]


def test_by_name_each_has_a_sentence(checkpoint, capsys):
    command = ["explain", f"--checkpoint={checkpoint}", "--people=u1,u2", "--days=5,15", "--export_emotions=True"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "u1, day 5: what the engagement ranking shows, for no effect of what items are is proven on this log." in lines
    assert [line for line in lines if line.startswith("u2, day 15: ")]


def test_of_who_does_not_consent_nothing_is_said(planted):
    model, dataset = planted
    without = replace(model.log.trace, consent=np.zeros_like(model.log.trace.consent))
    log, model.log = model.log, replace(model.log, trace=without)
    try:
        found = slates_of(model, np.array([1, 2]), np.array([5, 6]))
        rows = [_said(found, place, model, dataset) for place in range(2)]
    finally:
        model.log = log
    for row in rows:
        assert not row["acted"] and row["chance_of_a_negative_day"] is None
        assert "nothing of this person's mood is read without consent" in row["sentence"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--people=nobody", "--export_emotions=True"], "person 'nobody' is not in data set 'small'."),
        (["--people=u1"], "that would say of single people what is believed of their mood."),
        (["--people=@none.txt"], "--people=@none.txt"),
        (["--days=99"], "day 99: the data have the days 1 to 14, and 15 is the next one."),
        (["--days=x"], "x is not a whole number"),
        (["--export_emotion=True"], "export_emotion"),
        (["--gate"], "--gate is no option. Write --key=value."),
    ],
)
def test_what_cannot_be_explained_is_one_line(checkpoint, words, says, capsys):
    try:
        assert main(["explain", f"--checkpoint={checkpoint}", *words]) == 2
    except SystemExit as ended:
        assert ended.code == 2
    assert says in capsys.readouterr().err


def test_other_models_have_no_parts(data_path, tmp_path):
    keys = {"data_path": str(data_path), "state": "ERROR", "show_progress": False, "epochs": 1, "checkpoint_dir": str(tmp_path)}
    path = run_recbole("BPR", "small", config_dict=keys, arguments=[])["checkpoint"]
    with pytest.raises(ConfigError, match="is a checkpoint of BPR"):
        explain(path)
    with pytest.raises(DataError, match="person 'x'"):
        path = run_recbole("ESMR", "small", config_dict={**QUICK, **keys, "export_emotions": True}, arguments=[])["checkpoint"]
        assert explain(path)["slates"] is None, "what a checkpoint says of it does not count"
        explain(path, ["x"], config_dict={"export_emotions": True})


def test_no_data_set_lets_moods_out(mine):
    with pytest.raises(ConfigError, match="export_emotions"):
        Config("ESMR", "small", config_dict={"data_path": str(mine("export_emotions: True\n")), "state": "ERROR"}, arguments=[])


def test_what_was_seen_is_not_explained_where_it_is_not_shown_again(data_path, tmp_path):
    keys = {**QUICK, "data_path": str(data_path), "checkpoint_dir": str(tmp_path), "repeatable": False}
    path = run_recbole("ESMR", "small", config_dict=keys, arguments=[])["checkpoint"]
    lists = recommend(path, ["u1", "u2"], 10).groupby("user")["item"].apply(list)
    told = explain(path, ["u1", "u2"], config_dict={"export_emotions": True})["slates"]
    _, _, dataset, train, *_ = load_data_and_model(path)
    for slate in told:
        rows = train._dataset.inter_feat
        user = dataset.token2id(dataset.uid_field, slate["user"])
        before = set(dataset.id2token(dataset.iid_field, rows[dataset.iid_field][rows[dataset.uid_field] == user].numpy()))
        assert len({item["item"] for item in slate["items"]} & before) <= 1 and slate["user"] in lists, (
            "but for what is to be found"
        )
