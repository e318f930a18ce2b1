"""Which definition of churn `init` argues for, and with which windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from churnrisk.sources import Question
from churnrisk.training import StartedProject, start_project

NOW = datetime(2026, 3, 1)
IDS = [f"c{number}" for number in range(30)]
DAY = datetime(2025, 1, 1)


def start(folder: Path, answers: dict[str, str] | None = None, **files: Sequence[str]) -> StartedProject:
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return start_project(
        folder,
        force=True,
        dry_run=False,
        answers=answers or {},
        prompt=None,
        now=NOW,
        progress=lambda _: None,
    )


def customers(header: str = "customer_id,name", *more: str) -> list[str]:
    return [header, *(f"{one},Firm {one}" for one in IDS), *more]


def events(every: int, days: int = 360) -> list[str]:
    moments = [(DAY + timedelta(days=day)).date() for day in range(0, days, every)]
    return ["customer_id,timestamp", *(f"{one},{moment}" for one in IDS for moment in moments)]


def terms(*ends: str) -> list[str]:
    filled = [*ends, *[""] * (len(IDS) - len(ends))]
    rows = (f"{one},2024-0{n % 9 + 1}-05,{end}" for n, (one, end) in enumerate(zip(IDS, filled, strict=True)))
    return ["customer_id,start_date,end_date", *rows]


def test_terms_with_ends_define_churn(tmp_path: Path) -> None:
    started = start(
        tmp_path, customers=customers(), usage=events(7), contracts=terms("2025-08-01", "2025-09-01")
    )
    assert started.is_ready
    assert 'definition = "contractual"' in started.text
    said = "chosen: churn: contractual: subscriptions with end dates (2), for 100% of the accounts"
    assert said in started.report


def test_terms_without_ends_leave_silence_and_say_so(tmp_path: Path) -> None:
    bought = ["customer_id,start_date,plan", *(f"{one},2025-01-05,basic" for one in IDS)]
    started = start(tmp_path, customers=customers(), usage=events(7), subscriptions=bought)
    assert 'definition = "inactivity"' in started.text
    assert any("subscriptions found, but no end dates" in one for one in started.report)


def test_the_windows_follow_the_usual_gap(tmp_path: Path) -> None:
    weekly = start(tmp_path, customers=customers(), orders=events(7)).text
    assert "horizon_days = 30" in weekly
    assert "lookback_days = 30" in weekly
    rarely = start(tmp_path, customers=customers(), orders=events(60, days=720)).text
    assert "horizon_days = 90" in rarely
    assert "lookback_days = 180" in rarely


def test_a_short_history_says_when_a_model_will_be_possible(tmp_path: Path) -> None:
    started = start(tmp_path, customers=customers(), usage=events(3, days=45))
    assert started.waiting.startswith(", nor before 2025-03-25: it needs at least 10 churned accounts")


def test_a_flag_beside_terms_that_hardly_end_is_asked_about(tmp_path: Path) -> None:
    flagged = [
        "customer_id,churn_flag",
        *(f"{one},{'TRUE' if n % 3 == 0 else 'FALSE'}" for n, one in enumerate(IDS)),
    ]
    started = start(tmp_path, customers=flagged, usage=events(7), contracts=terms("2025-08-01"))
    assert not started.is_ready
    assert "churn_flag of customers.csv says who was lost" in started.unanswered[0]
    answered = start(tmp_path, {"definition": "labels"})
    assert answered.is_ready
    assert "as churned" in answered.text


def test_a_table_that_ends_early_bounds_the_data_or_is_asked_about(tmp_path: Path) -> None:
    def tickets(days: int) -> list[str]:
        rows = [(DAY + timedelta(days=day)).date() for day in range(0, days, 2)]
        return [
            "customer_id,opened_at,priority",
            *(f"{IDS[n % 30]},{day},high" for n, day in enumerate(rows)),
        ]

    soon = start(tmp_path, customers=customers(), usage=events(1), tickets=tickets(340))
    assert soon.is_ready
    assert "data_until = 2025-12-0" in soon.text
    long_ago = start(tmp_path, tickets=tickets(100))
    assert not long_ago.is_ready
    assert "up to which day are all complete?" in long_ago.unanswered[0]


def test_a_person_is_asked_only_where_it_is_close_or_no_answer_is_safe(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text("\n".join(customers()) + "\n")
    (tmp_path / "usage.csv").write_text("\n".join(events(7)) + "\n")
    rows = [f"{one},2025-02-0{n % 9 + 1},{n % 4 + 1}" for n, one in enumerate(IDS)]
    (tmp_path / "tickets.csv").write_text("\n".join(["customer_id,opened_at,priority", *rows]) + "\n")
    asked: list[str] = []

    def person(question: Question) -> str | None:
        asked.append(question.key)
        return question.choices[0] if question.choices else None

    started = start_project(
        tmp_path, force=True, dry_run=True, answers={}, prompt=person, now=NOW, progress=lambda _: None
    )
    assert asked[0] == "complaints.severity_order"
    assert 'severity_order = "1 is worst"' in started.text
    assert not (tmp_path / "churnrisk.toml").exists()
