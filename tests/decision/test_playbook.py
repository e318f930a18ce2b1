from pathlib import Path

import pandas as pd
import pytest

import churnrisk.decision
from churnrisk.decision import Play, load_playbook, next_step, parse_playbook
from churnrisk.errors import UsageError

SHIPPED = (Path(churnrisk.decision.__file__).parent / "playbook.toml").read_text(encoding="utf-8")
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


def plays(*accounts):
    return list(load_playbook().choose(pd.DataFrame(accounts)))


def test_the_shipped_playbook_has_enough_plays_and_each_names_its_source():
    shipped = load_playbook().plays
    assert len(shipped) >= 10
    assert all(play.source[:3] in {"000", "001", "002", "003", "004"} for play in shipped)


def test_the_step_follows_colour_reason_stage_and_renewal():
    assert plays(
        account("red", "complaints"),
        account("red", "recency", "loyalist", 20),
        account("amber", "recency", "adopter"),
        account("amber", "recency", "loyalist", 300),
        account("green", None, "loyalist", 200),
        account("green", None, "advocate", 200),
    ) == [
        "critical complaint recovery",
        "renewal rescue",
        "onboarding help",
        "silence nudge",
        "next offer",
        "review or referral ask",
    ]


def test_adopters_are_never_sold_to_and_only_green_advocates_are_asked():
    for colour in ("red", "amber", "green", "grey"):
        for stage in ("adopter", "loyalist", "advocate", None):
            for family in ("recency", "breadth", "value", None):
                (chosen,) = plays(account(colour, family, stage))
                assert (chosen == "next offer") == ((colour, stage) == ("green", "loyalist"))
                assert (chosen == "review or referral ask") == ((colour, stage) == ("green", "advocate"))


def test_the_silent_are_nudged_and_the_busy_are_not():
    assert "silence nudge" not in plays(
        *(account("amber", f) for f in ("breadth", "value", "complaints", None))
    )


def test_where_nothing_fits_the_fallback_of_the_colour_is_used():
    step = next_step(pd.DataFrame([account("red", "own"), account("grey")], index=["x", "y"]))
    assert step["x"].startswith("Call the customer")
    assert step["y"].startswith("Wait for enough data")


def test_a_step_is_one_sentence_with_owner_channel_and_deadline():
    assert Play(**PLAY).sentence == "Call (owner, phone, within 2 days)."


def test_missing_columns_fit_no_condition():
    assert list(next_step(pd.DataFrame({"colour": ["amber"]}))) == [load_playbook().fallback["amber"]]


def test_renewal_days_are_half_open():
    days = [account("amber", "own", None, d) for d in (-1, 0, 89, 90)]
    assert plays(*days) == [None, "renewal outreach", "renewal outreach", None]


def test_a_playbook_of_ones_own_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SHIPPED.replace("silence nudge", "my nudge"), encoding="utf-8")
    rows = pd.DataFrame([account("amber", "recency", "loyalist", 300)])
    assert list(load_playbook(path).choose(rows)) == ["my nudge"]


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
        (SHIPPED.replace("deadline_days = 30", 'deadline_days = "30"'), "wrong type"),
    ],
)
def test_a_playbook_that_cannot_be_used_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_playbook(text)
