from pathlib import Path

import pandas as pd
import pytest

import churnrisk.lights
from churnrisk.errors import UsageError
from churnrisk.features import CATALOGUE
from churnrisk.lights import Play, load_playbook, parse_playbook

SHIPPED = (Path(churnrisk.lights.__file__).parent / "playbook.toml").read_text(encoding="utf-8")
PLAY = {
    "name": "call",
    "action": "Call",
    "channel": "phone",
    "owner": "owner",
    "deadline_days": 2,
    "source": "003",
    "colours": ("red",),
}


def account(colour, family=None, stage=None, days_to_renewal=None):
    return {"colour": colour, "family": family, "stage": stage, "days_to_renewal": days_to_renewal}


def plays(*accounts, **signals):
    X = pd.DataFrame(signals, index=range(len(accounts))) if signals else None
    return list(load_playbook().choose(pd.DataFrame(accounts), X))


def test_the_shipped_playbook_has_enough_plays_and_each_names_its_source():
    shipped = load_playbook().plays
    assert len(shipped) >= 20
    assert all(play.source[:3] in {"000", "001", "002", "003", "004"} for play in shipped)
    assert all(set(play.when) == set() or play.cooldown_days >= play.deadline_days for play in shipped)


def test_the_shipped_plays_read_signals_of_the_catalogue_only():
    load_playbook().require_features({feature.name for feature in CATALOGUE})


def test_the_step_follows_colour_reason_stage_and_renewal():
    assert plays(
        account("red", "complaints"),
        account("red", "recency", "loyalist", 20),
        account("amber", "recency", "loyalist", 300),
        account("green", None, "loyalist", 200),
        account("green", None, "advocate", 200),
    ) == [
        "complaint aftercare",
        "falling use check-in",
        "falling use check-in",
        "next offer",
        "review or referral ask",
    ]


@pytest.mark.parametrize(
    ("who", "signals", "play"),
    [
        (account("red", "recency"), {"worst_open_severity": 4.0}, "critical complaint recovery"),
        (account("red", "recency"), {"detractor": 1.0}, "dissatisfaction call"),
        (account("red", "recency"), {"open_complaints": 1.0}, "complaint escalation"),
        (account("amber", "recency"), {"open_complaints": 2.0}, "complaint recovery"),
        (account("amber", "value"), {"last_survey_score": 5.0, "days_since_survey": 100.0}, "low score follow-up"),
        (account("amber", "value"), {"owner_changed_60d": 1.0}, "handover after owner change"),
        (account("green"), {"owner_changed_60d": 1.0}, "introduction of the new owner"),
        (account("amber", "value"), {"contacts": 1.0}, "single contact"),
        (account("amber", "value"), {"seats_used_share": 0.2, "seats": 10.0}, "unused seats"),
        (account("red", "recency"), {"silent_30d": 1.0, "days_since_last_event": 40.0}, "silence call"),
        (account("red", "recency"), {"silent_30d": 1.0, "days_since_last_event": 70.0}, "win-back"),
        (account("grey"), {"days_since_last_event": 70.0}, "win-back of the lapsed"),
        (account("amber", "value"), {"silent_30d": 1.0}, "silence nudge"),
        (account("red", "recency", "adopter"), {"silent_30d": 1.0, "tenure_days": 40.0}, "onboarding restart"),
        (account("red", "recency", "adopter"), {"silent_30d": 1.0, "tenure_days": 400.0}, "silence call"),
        (account("amber", "recency", "adopter"), {"tenure_days": 40.0}, "onboarding help"),
        (account("amber", "recency", "adopter"), {"tenure_days": 400.0}, "falling use check-in"),
        (account("green", None, "adopter"), {"tenure_days": 40.0}, "welcome series"),
        (account("green", None, "adopter"), {"tenure_days": 400.0}, "proof of value"),
        (account("green", None, "loyalist"), {"overdue_ratio": 1.0, "usual_gap_days": 30.0}, "replenishment offer"),
        (account("green", None, "loyalist"), {"overdue_ratio": 1.0, "usual_gap_days": 2.0}, "next offer"),
        (account("green", None, "loyalist"), {"tenure_days": 370.0}, "anniversary thank-you"),
        (account("green", None, "advocate"), {"renewals": 1.0, "term_age_days": 5.0}, "renewal thank-you"),
        (account("green", None, "loyalist"), {"feature_share_90": 0.1}, "success story of an unused feature"),
        (account("amber", "value", None, 75), {"contacts": 5.0}, "renewal outreach"),
        (account("amber", "value", None, 45), {"contacts": 5.0}, "renewal follow-up"),
        (account("amber", "value", None, 10), {"term_age_days": 340.0}, "renewal last call"),
        (account("red", "recency", "loyalist", 20), {"term_age_days": 340.0}, "renewal rescue"),
        (account("red", "own", "loyalist", 20), {"term_age_days": 20.0}, "monthly renewal check-in"),
        (account("green", None, "loyalist", 45), {"contacts": 5.0}, "renewal notice"),
        (account("green", None, "loyalist", 10), {"term_age_days": 340.0}, "renewal reminder"),
        (account("green", None, "loyalist", 10), {"term_age_days": 20.0}, "next offer"),
    ],
)  # fmt: skip
def test_the_step_follows_the_signals(who, signals, play):
    assert plays(who, **signals) == [play]


def test_a_play_whose_signal_is_absent_or_unknown_fits_nobody():
    assert plays(account("amber", "own"), silent_30d=float("nan")) == [None]
    assert plays(account("amber", "own"), contacts=5.0) == [None]


def test_a_play_that_names_an_unknown_signal_is_refused_with_similar_ones():
    text = SHIPPED.replace("contacts <= 1", "contcts <= 1")
    with pytest.raises(UsageError, match=r"play 'single contact'.*'contcts'.*contacts"):
        parse_playbook(text).require_features({feature.name for feature in CATALOGUE})


def test_a_condition_that_cannot_be_read_names_the_play():
    with pytest.raises(UsageError, match="play 'call': expected 'feature >= number'"):
        Play(**PLAY, when="contacts is low")


def test_adopters_are_never_sold_to_and_only_green_advocates_are_asked():
    for colour in ("red", "amber", "green", "grey"):
        for stage in ("adopter", "loyalist", "advocate", None):
            for family in ("recency", "breadth", "value", None):
                (chosen,) = plays(account(colour, family, stage))
                assert (chosen == "next offer") == ((colour, stage) == ("green", "loyalist"))
                assert (chosen == "review or referral ask") == ((colour, stage) == ("green", "advocate"))


def test_the_silent_are_nudged_and_the_busy_never():
    families = ("recency", "breadth", "value", "complaints", None)
    for colour in ("green", "amber", "red"):
        for stage in ("adopter", "loyalist", "advocate", None):
            busy = plays(*(account(colour, family, stage) for family in families), silent_30d=0.0)
            assert not {"silence nudge", "silence call", "onboarding restart"} & set(busy)


def test_a_nudge_that_could_reach_the_busy_is_refused():
    with pytest.raises(UsageError, match="a nudge is for silent accounts only"):
        Play(**PLAY, kind="nudge", when="contacts <= 1")


def test_where_nothing_fits_the_fallback_of_the_colour_is_used():
    step = load_playbook().next_step(pd.DataFrame([account("red", "own"), account("grey")], index=["x", "y"]))
    assert step["x"].startswith("Call the customer")
    assert step["y"].startswith("Wait for enough data")


def test_a_step_is_one_sentence_with_owner_channel_and_deadline():
    assert Play(**PLAY).sentence == "Call (owner, phone, within 2 days)."


def test_missing_columns_fit_no_condition():
    assert list(load_playbook().next_step(pd.DataFrame({"colour": ["amber"]}))) == [
        load_playbook().fallback["amber"]
    ]


def test_renewal_days_are_half_open():
    days = [account("amber", "own", None, d) for d in (-1, 0, 30, 89, 90)]
    assert plays(*days) == [
        None,
        "monthly renewal check-in",
        "renewal follow-up",
        "renewal outreach",
        None,
    ]


def test_a_playbook_of_ones_own_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SHIPPED.replace("falling use check-in", "my check-in"), encoding="utf-8")
    rows = pd.DataFrame([account("amber", "recency", "loyalist", 300)])
    assert list(load_playbook(path).choose(rows)) == ["my check-in"]


def test_a_missing_playbook_is_told(tmp_path):
    with pytest.raises(UsageError, match="expected a file"):
        load_playbook(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colours": ("pink",)}, "expected colours from"),
        ({"families": ("gossip",)}, "expected families from"),
        ({"stages": ("stranger",)}, "expected stages from"),
        ({"kind": "spam"}, "expected kind from"),
        ({"deadline_days": 0}, "deadline_days >= 1"),
        ({"cooldown_days": 0}, "cooldown_days >= 1"),
        ({"action": " "}, "expected a text for action"),
        ({"colours": ()}, "at least one colour"),
        ({"renewal_days": (9, 9)}, "renewal_days"),
        ({"kind": "upsell", "stages": ("adopter",)}, "upsell is for green loyalists only"),
        ({"kind": "referral", "colours": ("green",)}, "referral is for green advocates only"),
    ],
)
def test_a_play_that_contradicts_the_practice_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Play(**(PLAY | change))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[plays]", "expected TOML"),
        ("[pleas]\n", "expected sections from"),
        ("[plays]\n", r"\[\[plays\]\]"),
        (SHIPPED.replace("silence nudge", "silence call"), "one play per name"),
        (SHIPPED.replace('grey = "W', 'blue = "W'), "missing \\['grey'\\], unknown \\['blue'\\]"),
        (SHIPPED.replace("deadline_days = 30", "deadline = 30"), "expected settings from"),
        (SHIPPED.replace("mail = 5", "mail = -5"), "expects whole days"),
        (SHIPPED.replace("mail = 5", "letter = 5"), "expected channel from"),
        (SHIPPED.replace("deadline_days = 30", 'deadline_days = "30"'), "wrong type"),
    ],
)
def test_a_playbook_that_cannot_be_used_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_playbook(text)
