import re
from datetime import datetime

from churnrisk.monitoring import Promised, Promises, RunOfColour, verdict_of
from churnrisk.records import Colour, Run
from churnrisk.store import ColourOutcome, Withdrawal
from churnrisk.web import promise_view

RUN = Run(1, "k", datetime(2026, 7, 1), datetime(2026, 7, 2), "3", "p", "i", 400, 20, 80, 250, 50)


def outcome(**given):
    usual = {
        "run_id": 1,
        "colour": "green",
        "promise": "churn of at most 2.00%",
        "known_at": datetime(2026, 9, 1),
        "horizon_days": 30,
        "accounts": 250,
        "at_most": 0.02,
        "tested_accounts": 300,
        "tested_rows": 420,
        "tested_rate": 0.01,
        "tested_low": 0.002,
        "tested_high": 0.03,
    }
    return ColourOutcome(**(usual | given))


def promised(colour, *outcomes, **more):
    runs = tuple(
        RunOfColour(datetime(2026, 7 - place, 1), "3", one, verdict_of(one))
        for place, one in enumerate(outcomes)
    )
    known = [one for one in outcomes if one.known]
    return Promised(
        colour,
        outcomes[0] if outcomes else None,
        runs,
        sum(one.known for one in known),
        sum(one.churned for one in known),
        len(known),
        **more,
    )


def shown(*colours, missed=(), next_known_at=None):
    return promise_view(Promises(RUN, colours, missed, next_known_at))


def known(churned, low, high, kept):
    return {"known": 240, "churned": churned, "low": low, "high": high, "kept": kept}


def test_a_kept_promise_is_shown_with_its_counts():
    found = promised(Colour.GREEN, outcome(), outcome(**known(2, 0.001, 0.03, True)))
    (card,) = shown(found)["cards"]
    assert card.promised == "Promised: churn of at most 2.00% within 30 days."
    assert card.tested == (
        "Before it was used: in the test 1.0 % of 420 rows (300 accounts, one row per snapshot) churned within "
        "30 days, between 0.2 % and 3.0 % with 95 % confidence."
    )
    assert card.since == (
        "Since then: 2 of 240 churned within 30 days (0.8 %), in 1 separate label window. 1 run still open."
    )
    assert (card.verdict, card.verdict_class) == ("Promise kept in 1 run", "kept")
    open_one, kept = card.lines
    assert (open_one.churned, open_one.verdict, open_one.mark) == (
        "known on 2026-09-01",
        "not known yet",
        None,
    )
    assert (kept.churned, kept.rate, kept.bounds) == ("2 of 240", "0.8 %", "0.1 % to 3.0 %")
    shapes = ('class="bounds" x="([^"]+)', 'class="here" d="M([^ ]+)', 'class="limit" x1="([^"]+)')
    low, rate, limit = (float(re.search(shape, kept.mark)[1]) for shape in shapes)
    assert low < rate < limit


def test_one_broken_run_breaks_the_verdict():
    found = promised(
        Colour.GREEN,
        outcome(**known(20, 0.05, 0.12, False)),
        outcome(**known(2, 0.001, 0.03, True)),
        outcome(**known(8, 0.015, 0.06, None)),
    )
    (card,) = shown(found)["cards"]
    assert card.verdict == "Promise kept in 1 run, broken in 1 run, unclear in 1 run"
    assert card.verdict_class == "broken"
    assert [line.verdict_class for line in card.lines] == ["broken", "kept", "unclear"]
    assert all('class="limit"' in line.mark for line in card.lines)


def test_a_colour_that_promises_nothing_says_so():
    found = promised(Colour.AMBER, outcome(promise="", at_most=None, **known(9, 0.02, 0.07, None)))
    (card,) = shown(found)["cards"]
    assert card.promised == "It promises no churn rate."
    assert card.verdict == "No promise to keep"
    assert card.lines[0].verdict == "no promise"
    assert 'class="limit"' not in card.lines[0].mark


def test_a_withdrawn_promise_is_said_with_its_evidence_though_the_latest_run_still_made_it():
    day = datetime(2026, 7, 3)
    gone = Withdrawal(
        "3", "green", 0.02, None, day, 30, datetime(2026, 3, 1), datetime(2026, 5, 1), 3, 750, 60, 250.0
    )
    found = promised(Colour.GREEN, outcome(), outcome(**known(20, 0.05, 0.12, False)), withdrawn=(gone,))
    (card,) = shown(found)["cards"]
    assert card.promised == "It promises no churn rate."
    assert card.standing == (
        "No promise: withdrawn since 2026-07-03, because churn of at most 2.00% within 30 days was promised and 60 of "
        "750 churned (8.00%) in 3 separate windows since 2026-03-01 (e-value 250)."
    )
    assert (card.verdict, card.verdict_class) == ("Promise withdrawn since 2026-07-03", "broken")


def test_a_figure_of_an_older_model_counts_no_accounts_for_its_rows():
    (card,) = shown(promised(Colour.GREEN, outcome(tested_rows=None, horizon_days=None)))["cards"]
    assert card.tested.startswith(
        "Before it was used: in the test 1.0 % of the rows (one per account and snapshot) churned "
    )


def test_before_the_first_run_there_is_nothing_to_judge():
    page = shown(promised(Colour.RED))
    (card,) = page["cards"]
    assert page["nothing_stored"]
    assert card.tested == "The model behind it was not tested on later data."
    assert card.since == "Since then: no outcome is known yet."


def test_missed_churners_are_listed_where_there_are_any():
    page = shown(missed=((datetime(2026, 5, 1), 3), (datetime(2026, 4, 1), 0)))
    assert page["missed"] == ((datetime(2026, 5, 1), "3 accounts"),)
    assert page["missed_known"] == 2


def test_missed_churners_stand_beside_those_caught_and_the_share_flagged():
    counts = {Colour.GREEN: (100, 3), Colour.AMBER: (60, 5), Colour.RED: (40, 12)}
    colours = [
        promised(colour, outcome(colour=str(colour), known=known, churned=churned))
        for colour, (known, churned) in counts.items()
    ]
    page = shown(*colours, missed=((datetime(2026, 7, 1), 3),))
    ((_, said),) = page["missed"]
    assert said == "3 of 20 churned accounts; 17 were red or amber, as were 50 % of 200 accounts"
