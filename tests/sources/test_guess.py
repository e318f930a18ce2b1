"""What `init` takes the files of a folder for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from churnrisk.sources import Guess, Question, guess_tables

NOW = datetime(2026, 3, 1)
DAYS = [f"{datetime(2025, 1, 1) + timedelta(days=7 * week):%Y-%m-%d}" for week in range(40)]
IDS = [f"c{number}" for number in range(8)]


def guess(folder: Path, answers: Mapping[str, str] | None = None, **files: str) -> Guess:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)

    def ask(question: Question) -> str | None:
        return (answers or {}).get(question.key, question.default)

    return guess_tables(folder, now=NOW, ask=ask)


def table(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"


def log(header: str, row: str = "{id},{day},login,u{id}") -> str:
    return table(header, *(row.format(id=one, day=day) for one in IDS for day in DAYS))


CUSTOMERS = table("customer_id,company,created", *(f"{one},Firm {one},2024-12-01" for one in IDS))
USAGE = log("customer_id,timestamp,module,user_id")


def columns(found: Guess, name: str) -> dict[str, str]:
    return dict(found.tables[name].settings["columns"])


def test_a_usual_export_is_understood(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        customers=CUSTOMERS,
        usage_log=USAGE,
        support_tickets=table(
            "Customer ID,Opened,Closed,Priority,Topic",
            *(f"{one},2025-01-01,2025-01-02,high,x" for one in IDS),
        ),
        contracts=table(
            "customer_id,start_date,end_date,plan_name,monthly_fee",
            *(f"{one},2024-01-01,2025-06-01,pro,10" for one in IDS),
        ),
        nps=table("customer_id,date,score", *(f"{one},2025-01-01,{9 + n % 2}" for n, one in enumerate(IDS))),
    )
    assert list(found.tables) == ["accounts", "events", "complaints", "subscriptions", "surveys"]
    assert columns(found, "accounts") == {
        "account_id": "customer_id", "name": "company", "signed_up_at": "created",
    }  # fmt: skip
    assert columns(found, "events")["feature"] == "module"
    assert columns(found, "complaints")["resolved_at"] == "Closed"
    assert columns(found, "subscriptions")["mrr"] == "monthly_fee"
    assert columns(found, "surveys") == {"account_id": "customer_id", "answered_at": "date"}
    assert found.left == {}


def test_accounts_are_chosen_by_the_ids_that_others_refer_to_not_by_names(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        customer_prices=table(
            "id,amount,created", "p1,10,2023-01-01", "p2,20,2023-01-01", "p3,30,2023-01-01"
        ),
        book=CUSTOMERS,
        usage=USAGE,
    )
    assert found.tables["accounts"].settings["path"] == "book.csv"
    assert "no column holds ids of accounts" in found.left["customer_prices.csv"]


def test_a_price_list_and_payments_are_left_open(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        customer=CUSTOMERS,
        plan=table("id,amount,created", "plan_0,10,2023-01-01", "plan_1,20,2023-01-01"),
        charge=table("id,amount,created,customer_id", *(f"ch_{one},10,2025-01-01,{one}" for one in IDS)),
        subscription=table(
            "id,customer_id,start_date,ended_at", *(f"s{one},{one},2025-01-01," for one in IDS)
        ),
    )
    assert found.tables["accounts"].settings["path"] == "customer.csv"
    assert list(found.tables) == ["accounts", "subscriptions"]
    assert set(found.left) == {"plan.csv", "charge.csv"}


def test_a_loser_fits_accounts_less_well(tmp_path: Path) -> None:
    regions = table("region_id,region", "r1,north", "r2,south", "r3,east")
    sold = table(
        "customer_id,region_id,when", *(f"{one},r{n % 3 + 1},2025-01-0{n + 1}" for n, one in enumerate(IDS))
    )
    found = guess(tmp_path, regions=regions, customers=CUSTOMERS, usage=USAGE, visits=sold)
    assert found.left["regions.csv"].startswith("fits accounts less well than customers.csv")


def test_files_of_two_close_fits_are_asked_about(tmp_path: Path) -> None:
    asked: list[Question] = []

    def ask(question: Question) -> str | None:
        asked.append(question)
        return "b.csv" if question.key == "accounts" else question.default

    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(table("customer_id,note", *(f"{one},x{one}" for one in IDS)))
    (tmp_path / "usage.csv").write_text(USAGE)
    found = guess_tables(tmp_path, now=NOW, ask=ask)
    assert found.tables["accounts"].settings["path"] == "b.csv"
    assert asked[0].close
    assert asked[0].choices == ("a.csv", "b.csv")


def test_events_keyed_by_user_lead_to_accounts_over_the_users(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        accounts=CUSTOMERS,
        people=table("uid,org", *(f"p{n}{one},{one}" for one in IDS for n in (1, 2))),
        tracks=table(
            "uid,timestamp,event", *(f"p{n}{one},{day},open" for one in IDS for n in (1, 2) for day in DAYS)
        ),
    )
    assert columns(found, "events")["account_id"] == "uid"
    assert found.tables["events"].settings["via"] == {"path": "people.csv", "key": "uid", "account": "org"}
    assert found.left == {}


def test_two_hops_lead_to_accounts(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        companies=CUSTOMERS,
        contacts=table("contact,company_id", *(f"k{one},{one}" for one in IDS)),
        threads=table("thread,contact", *(f"t{one},k{one}" for one in IDS)),
        ticket_log=table(
            "thread,opened_at,severity", *(f"t{one},2025-02-0{n + 1},high" for n, one in enumerate(IDS))
        ),
        usage=USAGE,
    )
    assert [hop["path"] for hop in found.tables["complaints"].settings["via"]] == [
        "threads.csv",
        "contacts.csv",
    ]


def test_an_external_id_leads_to_accounts(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        customers=table("id,external_ref,name", *(f"{one},x-{one},Firm {one}" for one in IDS)),
        contracts=table("customer,start_date,end_date", *(f"{one},2025-01-01,2025-09-01" for one in IDS)),
        usage=log("ref,timestamp,module,user_id", "x-{id},{day},login,u"),
    )
    assert found.tables["events"].settings["via"] == {
        "path": "customers.csv", "key": "external_ref", "account": "id",
    }  # fmt: skip


def test_a_file_that_fits_nothing_is_named_with_its_columns(tmp_path: Path) -> None:
    found = guess(tmp_path, weather="station,rain\nx,1\n")
    assert "station, rain" in found.left["weather.csv"]
    assert not found.tables


def test_small_numbers_that_meet_by_chance_are_no_ids(tmp_path: Path) -> None:
    numbered = table("customer_id,company", *(f"{n},Firm {n}" for n in range(1, 60)))
    levels = table("level,text", *(f"{n},l{n}" for n in range(1, 60)))
    usage = table(
        "customer_id,timestamp,minutes", *(f"{n},{day},{n % 9 + 1}" for n in range(1, 60) for day in DAYS[:5])
    )
    found = guess(tmp_path, firms=numbered, levels=levels, usage=usage)
    assert found.tables["accounts"].settings["path"] == "firms.csv"
    assert (
        "account_id" not in columns(found, "events")
        or columns(found, "events")["account_id"] == "customer_id"
    )


def test_two_files_of_one_shape_are_both_mapped(tmp_path: Path) -> None:
    found = guess(tmp_path, customers=CUSTOMERS, events_2024=USAGE, events_2025=USAGE)
    assert found.tables["events"].settings["path"] == "events_*.csv"
    assert found.left == {}


def test_files_of_different_shapes_are_events_of_their_kind(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        customers=CUSTOMERS,
        app_learning=log("customer_id,date_watched,minutes", "{id},{day},3.5"),
        app_questions=log("customer_id,date_asked", "{id},{day}"),
    )
    sql = found.tables["events"].settings["sql"]
    assert "'learning' as feature" in sql
    assert "'questions' as feature" in sql
    assert "union all by name" in sql


def test_one_file_per_month_makes_attributes_and_terms(tmp_path: Path) -> None:
    months = {
        f"customers_2025-{month:02}": table(
            "customer_id,plan,mrr", *(f"{one},pro,10" for one in IDS[month > 6 :])
        )
        for month in range(1, 11)
    }
    found = guess(tmp_path, **months)
    assert list(found.tables) == ["accounts", "subscriptions", "attributes"]
    assert found.tables["attributes"].settings["file_date"] == "%Y-%m"
    assert columns(found, "attributes")["valid_from"] == "file_until"


def test_billing_words_are_understood_and_notice_is_not_the_end(tmp_path: Path) -> None:
    terms = table(
        "id,account_id,activated_at,canceled_at,expires_at,state,unit_amount",
        *(f"s{one},{one},2025-01-01,2025-05-01,2025-06-01,expired,99.0" for one in IDS),
    )
    found = guess(tmp_path, account_history=CUSTOMERS, subscription_history=terms, usage=USAGE)
    assert columns(found, "subscriptions") == {
        "started_at": "activated_at", "ended_at": "expires_at", "mrr": "unit_amount", "subscription_id": "id",
        "status": "state", "cancelled_at": "canceled_at",
    }  # fmt: skip


def test_a_cancellation_is_the_end_where_there_is_no_other(tmp_path: Path) -> None:
    terms = table("customer_id,start_date,canceled_at", *(f"{one},2025-01-01,2025-05-01" for one in IDS))
    found = guess(tmp_path, customers=CUSTOMERS, subscriptions=terms, usage=USAGE)
    assert columns(found, "subscriptions")["ended_at"] == "canceled_at"


def test_one_list_of_customers_with_start_and_end_is_accounts_and_terms(tmp_path: Path) -> None:
    rows = table(
        "customer,signup_date,churn_date,mrr",
        *(f"{one},2024-01-0{n + 1},{'2025-03-01' if n % 2 else ''},20" for n, one in enumerate(IDS)),
    )
    found = guess(tmp_path, customers=rows)
    assert list(found.tables) == ["accounts", "subscriptions"]
    assert columns(found, "subscriptions")["ended_at"] == "churn_date"


def test_formats_are_read_from_the_values(tmp_path: Path) -> None:
    found = guess(
        tmp_path,
        customers=table(
            "Kundennummer;Firma;Kunde seit;MRR;Erneuerung",
            *(f"{one};Firma {one};{13 + n}.12.2025;1.234,50 €;01.0{n + 1}.2026" for n, one in enumerate(IDS)),
        ),
        usage=table("Kundennummer,ts", *(f"{one},{1767607200000 + n}" for n, one in enumerate(IDS))),
    )
    settings = found.tables["accounts"].settings
    assert (settings["decimal"], settings["thousands"]) == (",", ".")
    assert settings["date_format"] == "%d.%m.%Y"
    assert found.tables["events"].settings["date_format"] == "epoch_ms"


def test_day_or_month_first_is_asked_where_the_values_do_not_tell(tmp_path: Path) -> None:
    doubtful = table("customer_id,timestamp", *(f"{one},0{n + 1}/02/2025" for n, one in enumerate(IDS)))
    found = guess(tmp_path, customers=CUSTOMERS, usage=doubtful)
    assert found.tables["events"].unanswered == ['date_format = "%d/%m/%Y"   # or "%m/%d/%Y"']
    answered = guess(tmp_path, {"events.date_format": "%m/%d/%Y"})
    assert answered.tables["events"].settings["date_format"] == "%m/%d/%Y"


def test_what_numbers_mean_is_asked(tmp_path: Path) -> None:
    tickets = table(
        "customer_id,opened,priority", *(f"{one},2025-02-01,{n % 4 + 1}" for n, one in enumerate(IDS))
    )
    ratings = table(
        "customer_id,date,rating", *(f"{one},2025-02-01,{n % 5 + 1}" for n, one in enumerate(IDS))
    )
    files = {"customers": CUSTOMERS, "usage": USAGE, "tickets": tickets, "ratings": ratings}
    found = guess(tmp_path, **files)
    assert found.tables["complaints"].unanswered == ['severity_order = "1 is worst"   # or "1 is least"']
    assert found.tables["surveys"].unanswered[0].startswith('scale = "1-5"')
    answers = {"complaints.severity_order": "1 is worst", "surveys.scale": "1-5"}
    answered = guess(tmp_path, answers)
    assert answered.tables["complaints"].settings["severity_order"] == "1 is worst"
    assert answered.tables["surveys"].settings["scale"] == "1-5"


def test_files_of_one_table_are_asked_about_before_they_are_joined(tmp_path: Path) -> None:
    tickets = table(
        "customer_id,opened,priority,rating",
        *(f"{one},0{n + 1}/02/2025,high,{n % 5 + 1}" for n, one in enumerate(IDS)),
    )
    calls = table("customer_id,opened,severity", *(f"{one},2025-02-01,low" for one in IDS))
    files = {"customers": CUSTOMERS, "usage": USAGE, "support_tickets": tickets, "support_calls": calls}
    found = guess(tmp_path, **files).tables["complaints"]
    assert found.unanswered == ['date_format = "%d/%m/%Y"   # or "%m/%d/%Y"']
    assert "rating is left out until its scale is known" in "".join(found.notes)
    assert "csat" not in found.settings["sql"]
    answers = {"complaints.date_format": "%m/%d/%Y", "complaints.scale": "1-5"}
    answered = guess(tmp_path, answers).tables["complaints"].settings
    assert answered["scale"] == "1-5"
    assert "strptime(\"opened\", '%m/%d/%Y') as opened_at" in answered["sql"]
    assert 'cast("opened" as timestamp) as opened_at' in answered["sql"]


def test_words_for_no_end_are_nulls(tmp_path: Path) -> None:
    terms = table(
        "customer_id,begin,end",
        *(f"{one},2025-01-01,{'2025-08-01' if n % 2 else 'No'}" for n, one in enumerate(IDS)),
    )
    found = guess(tmp_path, customers=CUSTOMERS, contracts=terms, usage=USAGE)
    assert found.tables["subscriptions"].settings["nulls"] == ["No"]


def test_rows_of_nobody_and_returns_are_left_out(tmp_path: Path) -> None:
    lines = [
        f"i{n},{IDS[n % 8] if n % 3 else ''},{DAYS[n % 40]},{-1 if n % 7 == 0 else 2}" for n in range(200)
    ]
    found = guess(tmp_path, invoices=table("invoice,customer_id,invoice_date,quantity", *lines))
    assert found.tables["events"].settings["where"] == (
        '"customer_id" is not null and try_cast("quantity" as double) > 0'
    )
    assert "select" in found.tables["accounts"].settings["sql"]


def test_a_line_of_a_sale_is_worth_its_quantity_times_its_price(tmp_path: Path) -> None:
    lines = [f"i{n},{IDS[n % 8]},{DAYS[n % 40]},{n % 5 - 1},{n % 3}.5" for n in range(200)]
    found = guess(tmp_path, invoices=table("invoice,customer_id,invoice_date,qty_sold,price", *lines))
    assert columns(found, "events") == {"account_id": "customer_id", "occurred_at": "invoice_date"}
    priced = table("invoice,customer_id,invoice_date,quantity,unit_price", *lines)
    sql = guess(tmp_path, invoices=priced).tables["events"].settings["sql"]
    assert 'try_cast("quantity" as double) * try_cast("unit_price" as double) as quantity' in sql
    assert 'where try_cast("quantity" as double) > 0' in sql


def test_a_file_of_losses_is_no_signal(tmp_path: Path) -> None:
    losses = table("customer_id,churn_date,reason", *(f"{one},2025-05-01,price" for one in IDS[:4]))
    found = guess(tmp_path, customers=CUSTOMERS, usage=USAGE, churn_events=losses)
    assert "losses" in found.left["churn_events.csv"]


def test_terms_without_end_end_as_their_kind_says(tmp_path: Path) -> None:
    bought = table(
        "customer_id,date_purchased,purchase_type",
        *(f"{one},2025-05-01,{'Monthly' if n % 2 else 'Annual'}" for n, one in enumerate(IDS)),
    )
    found = guess(tmp_path, customers=CUSTOMERS, usage=USAGE, purchases=bought)
    assert "interval '1 year'" in found.tables["subscriptions"].settings["sql"]


FLAT = "id,plan,calls,{label},churn score,reason,tip\n" + "".join(
    f"c{n},{'ab'[n % 2]},{n % 7},{{{'lost' if n % 4 == 0 else 'kept'}}},{90 if n % 4 == 0 else 10},"
    f"{'price' if n % 4 == 0 else ''},{n + 100 * (n % 4 == 0)}\n"
    for n in range(80)
)


@pytest.mark.parametrize(
    ("label", "lost", "kept"),
    [
        ("Churn", "Yes", "No"),
        ("Exited", "1", "0"),
        ("churn_flag", "TRUE", "FALSE"),
        ("Attrition_Flag", "Attrited Customer", "Existing Customer"),
        ("Customer Status churn", "Churned", "Stayed"),
    ],
)
def test_a_flat_table_has_its_label_without_what_is_named_like_it(
    tmp_path: Path, label: str, lost: str, kept: str
) -> None:
    found = guess(tmp_path, customers=FLAT.format(label=label, lost=lost, kept=kept))
    assert found.label == label
    assert f"in ('{lost}')" in found.tables["labels"].settings["sql"]
    assert 'b."plan", b."calls", b."reason", b."tip"\n' in found.tables["attributes"].settings["sql"]
    assert "churn score is left out: it is named like a consequence of the loss" in found.choices


def test_which_value_means_lost_is_asked_where_words_do_not_tell(tmp_path: Path) -> None:
    flat = FLAT.format(label="target", lost="B", kept="A")
    assert not guess(tmp_path, customers=flat).label
    assert guess(tmp_path, {"lost": "B"}).label == "target"


def test_unreadable_and_other_files_do_not_stop_the_guess(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "readme.md").write_text("hello")
    found = guess(tmp_path, events=USAGE)
    assert list(found.tables) == ["accounts", "events"]
    assert set(found.left) == {"broken.parquet", "empty.csv"}


def test_a_folder_without_data_gives_no_guess(tmp_path: Path) -> None:
    assert guess(tmp_path) == Guess()


def test_labels_with_a_date_are_recognised(tmp_path: Path) -> None:
    labels = table(
        "customer_id,snapshot_date,churned",
        *(f"{one},2025-06-01,{'yes' if n % 2 else 'no'}" for n, one in enumerate(IDS)),
    )
    found = guess(tmp_path, customers=CUSTOMERS, usage=USAGE, outcomes=labels)
    assert columns(found, "labels") == {"account_id": "customer_id", "as_of": "snapshot_date"}
