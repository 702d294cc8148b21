"""Exports of platforms that nobody made for us: consents under other names, offsets, spellings, views beyond the whole."""

from __future__ import annotations

import pandas as pd
import pytest

from recbole_esmr.data.importers.numeric import typical_scale
from recbole_esmr.errors import DataError
from tests.test_import_csv import ONLY_VIEWS, _column, _import


def test_a_consent_that_nobody_reads_is_refused(tmp_path):
    """Or the diaries of those who said no would be read. A name of the user's own says that it is something else."""
    views = "who,what,day\na,x,2024-03-24\nb,x,2024-03-24\n"
    diary = "who,date,feels\na,2024-03-24,happy\nb,2024-03-24,angry\n"
    people = "who,research_consent\na,Yes\nb,No\n"
    mapping = (
        "inter: {file: views.csv, columns: {user_id: who, item_id: what, day: day}}\n"
        "day: {file: diary.csv, columns: {user_id: who, day: date, emotion: feels}}\n"
        "user: {file: people.csv, columns: {user_id: who%s}}\n"
    )
    with pytest.raises(DataError, match=r"'research_consent' looks as if it said who consents.*`consent: research_consent`"):
        _import(tmp_path, mapping % "", views=views, diary=diary, people=people)
    _, files = _import(tmp_path, mapping % ", consent: research_consent", views=views, diary=diary, people=people)
    assert _column(files["user"], "consent") == [1, 0]
    _, files = _import(tmp_path, mapping % ", newsletter: research_consent", views=views, diary=diary, people=people)
    assert "consent" not in files["user"]


def test_evenings_with_an_offset_and_no_time_zone_are_said(tmp_path):
    views = "who,what,when\na,x,2024-03-24T21:00:00{zone}\na,x,2024-03-24T23:30:00{zone}\n"
    mapping = "{more}inter: {{file: views.csv, columns: {{user_id: who, item_id: what, timestamp: when}}}}\n"
    report, _ = _import(tmp_path, mapping.format(more=""), views=views.format(zone="-05:00"))
    assert any("such as 2024-03-24T21:00:00-05:00" in line and "`timezone: Europe/Berlin`" in line for line in report.warnings)
    for more, zone in (("timezone: America/New_York\n", "-05:00"), ("", "+00:00"), ("", "Z")):
        report, _ = _import(tmp_path, mapping.format(more=more), views=views.format(zone=zone))
        assert not any("offset from UTC" in line for line in report.warnings), (more, zone)


def test_labels_in_other_spelling_are_named_all_at_once(tmp_path):
    """Each with the label that it is; the first of the taxonomy is nobody's."""
    mapping = ONLY_VIEWS + "day: {file: diary.csv, columns: {user_id: who, day: date, emotion: feels}}\n"
    diary = "who,date,feels\na,2024-03-24,Anxious\na,2024-03-25,HAPPY\nb,2024-03-24,Prefer not to say\n"
    with pytest.raises(DataError) as refused:
        _import(tmp_path, mapping, diary=diary)
    said = str(refused.value)
    assert "`emotions: {Anxious: anxious, HAPPY: happy}` renames" in said and "`missing: [Prefer not to say]`" in said


def test_views_that_are_longer_than_their_item_were_watched_again(tmp_path):
    """A few of them; more than one in twenty, or many times as long, is another scale."""
    mapping = (
        "inter: {file: views.csv, columns: {user_id: who, item_id: what, day: day, watch_ratio: pct}, "
        "scale: {watch_ratio: [0, 100]}}\n"
    )
    rows = [f"u{n},x,2024-03-24,{50 + n % 40}\n" for n in range(60)]
    head = "who,what,day,pct\n"
    report, files = _import(tmp_path, mapping, views=head + "".join(rows) + "v,x,2024-03-24,103.5\n")
    assert _column(files["inter"], "watch_ratio")[-1] == 1
    assert any("1 above 100 (watched again) became 100" in line for line in report.notes)
    for wrong in ("v,x,2024-03-24,1035\n", "".join(f"v{n},x,2024-03-24,120\n" for n in range(10))):
        with pytest.raises(DataError, match="was said to run from 0 to 100"):
            _import(tmp_path, mapping, views=head + "".join(rows) + wrong)


def test_a_scale_that_is_proposed_is_a_usual_one():
    """Of shares the largest twentieth may lie beyond it; nobody's scale ends where the answers do."""
    watched = pd.Series([5.0, 84.1, *[50.0] * 40, 103.5])
    assert typical_scale(watched, longer=True) == [0, 100] and typical_scale(watched) is None
    assert typical_scale(pd.Series([8.0, 96.0])) == [0, 100] and typical_scale(pd.Series([3.0, 4200.0])) is None
    assert typical_scale(pd.Series([*[3.0] * 97, 6.0, 7.0])) == [1, 7]


@pytest.mark.parametrize("answers", [("granted", "withdrawn"), ("1", "n.a."), ("yes", "no")])
def test_a_column_called_consent_is_never_passed_over(tmp_path, answers):
    people = "who,consent\na,{}\nb,{}\n".format(*answers)
    mapping = ONLY_VIEWS + (
        "day: {file: diary.csv, columns: {user_id: who, day: date}}\nuser: {file: people.csv, columns: {user_id: who}}\n"
    )
    with pytest.raises(DataError, match="'consent' looks as if it said who consents"):
        _import(tmp_path, mapping, diary="who,date\na,2024-03-24\n", people=people)


def test_columns_that_are_used_or_are_of_items_are_no_consent_passed_over(tmp_path):
    mapping = ONLY_VIEWS + (
        "day: {file: diary.csv, columns: {user_id: who, day: date}, where: {consented: 1}}\n"
        "item: {file: items.csv, columns: {item_id: what}}\n"
    )
    diary = "who,date,consented\na,2024-03-24,1\nb,2024-03-24,0\n"
    report, _ = _import(tmp_path, mapping, diary=diary, items="what,comments_allowed\nx,1\n")
    assert report.rows["day"] == 1


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("yes", "no"), ("Y", "N"), ("1", "0")])
def test_consent_may_be_yes_and_no(tmp_path, yes, no):
    """Also where everybody says the same; what is neither is refused, and an empty cell is no yes."""
    views = "who,what,day\na,x,2024-03-24\nb,x,2024-03-24\nc,x,2024-03-24\n"
    mapping = "inter: {file: views.csv, columns: {user_id: who, item_id: what, day: day}}\n"
    mapping += "user: {file: people.csv, columns: {user_id: who, consent: agreed}}\n"
    for second in (no, yes):
        _import(tmp_path, mapping, views=views, people=f"who,agreed\na,{yes}\nb,{second}\nc,{yes}\n")
        written = pd.read_csv(next(tmp_path.rglob("*.user")), sep="\t")
        assert written.iloc[:, 1].tolist() == [1, int(second == yes), 1]
    with pytest.raises(DataError, match="perhaps"):
        _import(tmp_path, mapping, views=views, people=f"who,agreed\na,{yes}\nb,perhaps\nc,{yes}\n")
