"""Writers of one company in the shapes of known products' exports, as small as they can be and still be like them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

Frames = dict[str, pd.DataFrame]

_BILLING = "account_id started_at ended_at plan mrr seats status trial_ends_at cancelled_at"
_CRM_TICKETS = "account_id opened_at resolved_at severity category"
_WHOLE_EVENTS = "account_id occurred_at recorded_at feature user_id"


@dataclass(frozen=True)
class Shape:
    """A connector's shape: ``carries`` are the contract's columns that it holds, ``plain`` makes tables as exact."""

    connector: str
    key: Callable[[int], str]
    write: Callable[[Frames, Path], None]
    carries: Mapping[str, str]
    plain: Callable[[Frames], Frames] = lambda frames: frames


def _csv(
    folder: Path, name: str, columns: Mapping[str, Any] | pd.DataFrame, times: str | None = None
) -> None:
    frame = pd.DataFrame(columns)
    frame.to_csv(folder / name, index=False, date_format=times or "%Y-%m-%d %H:%M:%S")


def _lines(folder: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def _epoch(times: pd.Series, unit: int = 1) -> pd.Series:
    seconds = (times - pd.Timestamp("1970-01-01")) // pd.Timedelta(seconds=1) * unit
    return seconds.astype("Int64")


def _numbers(frame: pd.DataFrame, start: int = 1) -> pd.Series:
    return pd.Series(range(start, start + len(frame)), index=frame.index)


def _append(frame: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """Return the rows and a copy of the first one with other values."""
    return pd.concat([frame, frame.head(1).assign(**values)])


def stripe_dashboard(of: Frames, to: Path) -> None:
    accounts, terms = of["accounts"], of["subscriptions"]
    customers = {
        "id": accounts["account_id"],
        "Description": accounts["name"],
        "Email": "mail@" + accounts["account_id"] + ".example",
        "Name": accounts["name"],
        "Created (UTC)": accounts["signed_up_at"],
        "Delinquent": "false",
    }
    yearly = terms["plan"] == "scale"
    subscriptions = {
        "id": terms["subscription_id"],
        "Customer ID": terms["account_id"],
        "Plan": terms["plan"],
        "Quantity": terms["seats"].astype(int),
        "Currency": "eur",
        "Interval": yearly.map({True: "year", False: "month"}),
        "Amount": (terms["mrr"] / terms["seats"] * yearly.map({True: 12, False: 1})).map("{:.2f}".format),
        "Status": terms["status"],
        "Created (UTC)": terms["started_at"],
        "Start (UTC)": terms["started_at"],
        "Current Period End (UTC)": pd.Timestamp("2025-11-01"),
        "Trial End (UTC)": terms["trial_ends_at"],
        "Canceled At (UTC)": terms["cancelled_at"],
        "Ended At (UTC)": terms["ended_at"],
    }
    _csv(to, "unified_customers.csv", customers, "%Y-%m-%d %H:%M")
    _csv(to, "subscriptions.csv", subscriptions, "%Y-%m-%d %H:%M")


def stripe_warehouse(of: Frames, to: Path) -> None:
    accounts, terms = of["accounts"], of["subscriptions"]
    customers = accounts[["account_id", "name", "signed_up_at"]].set_axis(["id", "name", "created"], axis=1)
    customers = customers.assign(email="x@example.org", is_deleted=False, livemode=True)
    _csv(to, "customer.csv", _append(customers, id="cus_gone", is_deleted=True))
    history = pd.DataFrame(
        {
            "id": terms["subscription_id"],
            "_fivetran_start": terms["started_at"],
            "_fivetran_active": True,
            "customer_id": terms["account_id"],
            "status": terms["status"],
            "start_date": terms["started_at"],
            "current_period_end": pd.Timestamp("2025-11-01"),
            "trial_end": terms["trial_ends_at"],
            "canceled_at": terms["cancelled_at"],
            "ended_at": terms["ended_at"],
        }
    )
    earlier = history.assign(_fivetran_active=False, status="active", canceled_at=pd.NaT, ended_at=pd.NaT)
    _csv(to, "subscription_history.csv", pd.concat([earlier, history]))
    items = {
        "id": "si_" + terms["subscription_id"],
        "subscription_id": terms["subscription_id"],
        "plan_id": "plan_" + terms["plan"],
        "quantity": terms["seats"].astype(int),
    }
    _csv(to, "subscription_item.csv", items)
    plans = terms.drop_duplicates("plan")
    yearly = plans["plan"] == "scale"
    prices = {
        "id": "plan_" + plans["plan"],
        "nickname": plans["plan"],
        "amount": (plans["mrr"] / plans["seats"] * 100 * yearly.map({True: 12, False: 1})).astype(int),
        "currency": "eur",
        "interval": yearly.map({True: "year", False: "month"}),
        "interval_count": 1,
    }
    _csv(to, "plan.csv", prices)
    _csv(
        to,
        "charge.csv",
        {"id": ["ch_1"], "customer_id": ["cus_1"], "amount": [100], "created": ["2025-02-01"]},
    )


def chargebee(of: Frames, to: Path) -> None:
    accounts, terms = of["accounts"], of["subscriptions"]
    customers = pd.DataFrame(
        {
            "id": accounts["account_id"],
            "company": accounts["name"],
            "auto_collection": "on",
            "created_at": _epoch(accounts["signed_up_at"]),
            "deleted": "false",
        }
    )
    _csv(to, "customers.csv", _append(customers, id="gone", deleted="true"))
    subscriptions = pd.DataFrame(
        {
            "id": terms["subscription_id"],
            "customer_id": terms["account_id"],
            "plan_id": terms["plan"],
            "plan_quantity": terms["seats"].astype(int),
            "status": terms["status"].replace("canceled", "cancelled"),
            "started_at": _epoch(terms["started_at"]),
            "trial_end": _epoch(terms["trial_ends_at"]),
            "cancelled_at": _epoch(terms["ended_at"]),
            "cancel_schedule_created_at": _epoch(terms["cancelled_at"]),
            "mrr": (terms["mrr"] * 100).astype(int),
            "deleted": "false",
        }
    )
    _csv(to, "subscriptions.csv", _append(subscriptions, id="gone", deleted="true", mrr=7, cancelled_at=None))


def recurly(of: Frames, to: Path) -> None:
    accounts, terms = of["accounts"], of["subscriptions"]
    yearly = terms["plan"] == "scale"
    _csv(
        to,
        "accounts.csv",
        {
            "account_code": accounts["account_id"],
            "company_name": accounts["name"],
            "email": "x@example.org",
            "created_at": accounts["signed_up_at"],
        },
        "%Y-%m-%d %H:%M:%S UTC",
    )
    _csv(
        to,
        "subscriptions.csv",
        {
            "subscription_id": terms["subscription_id"],
            "account_code": terms["account_id"],
            "plan_code": terms["plan"],
            "state": terms["status"].replace("canceled", "expired"),
            "quantity": terms["seats"].astype(int),
            "unit_amount": terms["mrr"] / terms["seats"] * yearly.map({True: 12, False: 1}),
            "plan_interval_length": yearly.map({True: 12, False: 1}),
            "plan_interval_unit": "months",
            "activated_at": terms["started_at"],
            "trial_ends_at": terms["trial_ends_at"],
            "canceled_at": terms["cancelled_at"],
            "expires_at": terms["ended_at"],
        },
        "%Y-%m-%d %H:%M:%S UTC",
    )


def zuora(of: Frames, to: Path) -> None:
    accounts = of["accounts"]
    _csv(
        to,
        "Account.csv",
        {
            "Id": accounts["account_id"],
            "AccountNumber": "A-" + accounts["account_id"],
            "Name": accounts["name"],
            "CreatedDate": accounts["signed_up_at"],
            "SalesRepName": accounts["owner"],
            "Status": "Active",
        },
        "%Y-%m-%dT%H:%M:%S+00:00",
    )
    versions, plans, charges = [], [], []
    rows = of["subscriptions"].to_dict("records")
    for account_id, of_account in groupby(rows, itemgetter("account_id")):
        terms = list(of_account)
        last = terms[-1]
        lost = pd.notna(last["ended_at"])
        count = len(terms) + lost
        for version in range(1, count + 1):
            latest = version == count
            versions.append(
                {
                    "Id": f"{account_id}-v{version}",
                    "AccountId": account_id,
                    "Name": f"S-{account_id}",
                    "Version": version,
                    "Status": ("Cancelled" if lost else "Active") if latest else "Expired",
                    "SubscriptionStartDate": terms[0]["started_at"],
                    "SubscriptionEndDate": last["ended_at"] if latest else None,
                    "TermEndDate": pd.Timestamp("2026-09-30"),
                    # the day of the cancellation; without one that was asked for, the end itself
                    "CancelledDate": last["cancelled_at"] if latest and lost else None,
                }
            )
            for place, term in enumerate(terms[:version]):
                plan = f"{account_id}-v{version}-p{place}"
                plans.append({"Id": plan, "SubscriptionId": f"{account_id}-v{version}", "Name": term["plan"]})
                ends = term["ended_at"] if latest or place < version - 1 else pd.NaT
                charges.append(
                    {
                        "Id": f"{plan}-c",
                        "RatePlanId": plan,
                        "MRR": term["mrr"],
                        "Quantity": term["seats"],
                        "EffectiveStartDate": term["started_at"],
                        "EffectiveEndDate": pd.Timestamp("2026-09-30") if pd.isna(ends) else ends,
                    }
                )
    for name, rows in (("Subscription", versions), ("RatePlan", plans), ("RatePlanCharge", charges)):
        _csv(to, f"{name}.csv", pd.DataFrame(rows), "%Y-%m-%d")


def _hubspot(of: Frames, to: Path, names: Mapping[str, str]) -> None:
    accounts, terms, tickets = of["accounts"], of["subscriptions"], of["complaints"]
    companies = {
        "Record ID": accounts["account_id"],
        "Company name": accounts["name"],
        "Create Date": accounts["signed_up_at"],
        "Company owner": accounts["owner"],
        "Industry": accounts["segment"],
    }
    cases = {
        "Ticket ID": _numbers(tickets),
        "Ticket name": "it fails",
        "Create date": tickets["opened_at"],
        "Close date": tickets["resolved_at"],
        "Priority": tickets["severity"].str.upper(),
        "Category": tickets["category"],
        "Associated Company IDs": tickets["account_id"],
    }
    deals = {
        "Deal ID": _numbers(terms),
        "Deal Name": "subscription",
        "Deal Stage": "Closed Won" if not names else "closedwon",
        "Close Date": terms["started_at"],
        "Recurring revenue amount": terms["mrr"],
        "Recurring revenue inactive date": terms["ended_at"],
        "Associated Company IDs": terms["account_id"],
    }
    won = pd.DataFrame(deals)
    files = {"companies": companies, "tickets": cases, "deals": _append(won, **{"Deal Stage": "Closed Lost"})}
    for name, columns in files.items():
        frame = pd.DataFrame(columns).rename(columns=names)
        _csv(to, f"{name}.csv", frame, "%Y-%m-%d %H:%M" if not names else "%Y-%m-%dT%H:%M:%S.000Z")


def hubspot_pages(of: Frames, to: Path) -> None:
    _hubspot(of, to, {})


def hubspot_api(of: Frames, to: Path) -> None:
    names = {
        "Record ID": "hs_object_id",
        "Company name": "name",
        "Create Date": "createdate",
        "Create date": "createdate",
        "Company owner": "hubspot_owner_id",
        "Industry": "industry",
        "Ticket ID": "hs_ticket_id",
        "Ticket name": "subject",
        "Close date": "closed_date",
        "Priority": "hs_ticket_priority",
        "Category": "hs_ticket_category",
        "Associated Company IDs": "associated_company_id",
        "Deal ID": "hs_object_id",
        "Deal Name": "dealname",
        "Deal Stage": "dealstage",
        "Close Date": "closedate",
        "Recurring revenue amount": "recurring_revenue_amount",
        "Recurring revenue inactive date": "recurring_revenue_inactive_date",
    }
    _hubspot(of, to, names)


def salesforce(of: Frames, to: Path) -> None:
    accounts, terms, tickets = of["accounts"], of["subscriptions"], of["complaints"]
    iso = "%Y-%m-%dT%H:%M:%S.000Z"
    companies = pd.DataFrame(
        {
            "Id": accounts["account_id"] + "QAQ",
            "Name": accounts["name"],
            "Industry": accounts["segment"],
            "OwnerId": accounts["owner"],
            "CreatedDate": accounts["signed_up_at"],
            "IsDeleted": "false",
        }
    )
    _csv(to, "Account.csv", _append(companies, Id="001Ab0000099999QAQ", IsDeleted="true"), iso)
    contracts = pd.DataFrame(
        {
            "Id": [f"800Ab00000{number:05}" for number in range(len(terms))],
            "AccountId": terms["account_id"],
            "Status": "Activated",
            "StartDate": terms["started_at"],
            "EndDate": terms["ended_at"],
            "MRR__c": terms["mrr"],
            "IsDeleted": "false",
        }
    )
    drafts = contracts.head(1).assign(Id="800Ab0000088888", Status="Draft")
    _csv(
        to,
        "Contract.csv",
        pd.concat([_append(contracts, Id="800Ab0000099999", IsDeleted="true"), drafts]),
        "%Y-%m-%d",
    )
    cases = {
        "Id": [f"500Ab00000{number:05}QAQ" for number in range(len(tickets))],
        "CaseNumber": _numbers(tickets),
        "AccountId": tickets["account_id"] + "QAQ",
        "CreatedDate": tickets["opened_at"],
        "ClosedDate": tickets["resolved_at"],
        "Priority": tickets["severity"].str.capitalize(),
        "Type": tickets["category"],
        "IsDeleted": "false",
    }
    _csv(to, "Case.csv", cases, iso)


def zendesk(of: Frames, to: Path) -> None:
    accounts, tickets = of["accounts"], of["complaints"]
    numbers = dict(zip(accounts["account_id"], _numbers(accounts, 36000), strict=True))
    iso = "%Y-%m-%dT%H:%M:%SZ"
    organizations = {
        "id": accounts["account_id"].map(numbers),
        "name": accounts["name"],
        "external_id": accounts["account_id"],
        "domain_names": "example.org",
        "created_at": accounts["signed_up_at"],
    }
    _csv(to, "organizations.csv", organizations, iso)
    rows = pd.DataFrame(
        {
            "id": _numbers(tickets),
            "organization_id": tickets["account_id"].map(numbers),
            "requester_id": 1,
            "subject": "it fails",
            "type": tickets["category"],
            "priority": tickets["severity"],
            "status": tickets["resolved_at"].notna().map({True: "closed", False: "open"}),
            "created_at": tickets["opened_at"],
            "updated_at": tickets["resolved_at"].fillna(tickets["opened_at"]),
            "satisfaction_score": tickets["csat"].map({5.0: "good", 1.0: "bad"}).fillna("unoffered"),
        }
    )
    _csv(to, "tickets.csv", _append(rows, id=0, status="deleted"), iso)


def intercom(of: Frames, to: Path) -> None:
    accounts, tickets = of["accounts"], of["complaints"]
    inner = "co_" + accounts["name"].str.removeprefix("Firm ")
    contact = {account: f"c{number}" for number, account in enumerate(accounts["account_id"])}
    companies = {
        "id": inner,
        "company_id": accounts["account_id"],
        "name": accounts["name"],
        "created_at": _epoch(accounts["signed_up_at"]),
        "monthly_spend": 1,
    }
    _csv(to, "companies.csv", companies)
    _csv(
        to, "contact_companies.csv", {"contact_id": accounts["account_id"].map(contact), "company_id": inner}
    )
    conversations = {
        "id": _numbers(tickets),
        "created_at": _epoch(tickets["opened_at"]),
        "contact_id": tickets["account_id"].map(contact),
        "state": tickets["resolved_at"].notna().map({True: "closed", False: "open"}),
        "first_replied_at": _epoch(tickets["first_response_at"]),
        "first_closed_at": _epoch(tickets["resolved_at"]),
        "rating": tickets["csat"],
    }
    _csv(to, "conversations.csv", conversations)


def _users(of: Frames) -> pd.DataFrame:
    return of["events"][["user_id", "account_id"]].drop_duplicates()


def segment(of: Frames, to: Path) -> None:
    accounts, events, users = of["accounts"], of["events"], _users(of)
    _csv(
        to,
        "groups.csv",
        {
            "id": accounts["account_id"],
            "name": accounts["name"],
            "created_at": accounts["signed_up_at"],
            "industry": accounts["segment"],
        },
    )
    _csv(to, "users.csv", {"id": users["user_id"], "email": "x@example.org", "group_id": users["account_id"]})
    tracks = pd.DataFrame(
        {
            "id": _numbers(events),
            "anonymous_id": "a1",
            "user_id": events["user_id"],
            "event": events["feature"],
            "event_text": events["feature"],
            "received_at": events["recorded_at"],
            "timestamp": events["occurred_at"],
        }
    )
    _csv(to, "tracks.csv", _append(tracks, user_id=None))


def segment_raw(of: Frames, to: Path) -> None:
    accounts = of["accounts"]
    _lines(
        to,
        "groups.jsonl",
        (
            {
                "type": "group",
                "groupId": row["account_id"],
                "traits": {
                    "name": row["name"],
                    "createdAt": row["signed_up_at"].isoformat() + "Z",
                    "industry": row["segment"],
                },
            }
            for row in accounts.to_dict("records")
        ),
    )
    tracks = [
        {
            "type": "track",
            "anonymousId": "a1",
            "userId": row["user_id"],
            "event": row["feature"],
            "context": {"groupId": row["account_id"], "ip": "::1"},
            "timestamp": row["occurred_at"].isoformat() + "Z",
            "receivedAt": row["recorded_at"].isoformat() + "Z",
        }
        for row in of["events"].to_dict("records")
    ]
    _lines(to, "tracks.jsonl", [*tracks, {**tracks[0], "type": "page"}])


def segment_calls(of: Frames, to: Path) -> None:
    """Write raw messages whose tracks name no group: each user made a group call."""
    segment_raw(of, to)
    tracks = [json.loads(line) for line in (to / "tracks.jsonl").read_text().splitlines()]
    _lines(to, "tracks.jsonl", ({**track, "context": {"ip": "::1"}} for track in tracks))
    groups = {one["groupId"]: one for one in map(json.loads, (to / "groups.jsonl").read_text().splitlines())}
    users = _users(of)
    pairs = zip(users["user_id"], users["account_id"], strict=True)
    _lines(to, "groups.jsonl", ({**groups[account], "userId": user} for user, account in pairs))


def posthog(of: Frames, to: Path) -> None:
    accounts, events = of["accounts"], of["events"]
    _csv(
        to,
        "groups.csv",
        {
            "group_type_index": 0,
            "group_key": accounts["account_id"],
            "group_properties": accounts["name"].map(lambda name: json.dumps({"name": name})),
            "created_at": accounts["signed_up_at"],
        },
    )
    rows = pd.DataFrame(
        {
            "uuid": _numbers(events),
            "event": events["feature"],
            "distinct_id": events["user_id"],
            "timestamp": events["occurred_at"],
            "created_at": events["recorded_at"],
            "properties": events["account_id"].map(
                lambda key: json.dumps({"$lib": "web", "$groups": {"company": key}})
            ),
        }
    )
    _csv(to, "events.csv", _append(rows, event="$identify"), "%Y-%m-%dT%H:%M:%S.000Z")


def posthog_persons(of: Frames, to: Path) -> None:
    posthog(of, to)
    events = pd.read_csv(to / "events.csv").assign(properties='{"$lib": "web"}')
    _csv(to, "events.csv", events)
    users = _users(of)
    properties = users["account_id"].map(lambda key: json.dumps({"organization": key}))
    _csv(to, "persons.csv", {"distinct_id": users["user_id"], "properties": properties})


def _mixpanel_groups(of: Frames, to: Path) -> None:
    _lines(
        to,
        "groups.jsonl",
        (
            {
                "$group_key": "company_id",
                "$group_id": row["account_id"],
                "$properties": {"$name": row["name"], "$created": row["signed_up_at"].isoformat()},
            }
            for row in of["accounts"].to_dict("records")
        ),
    )


def mixpanel(of: Frames, to: Path) -> None:
    _mixpanel_groups(of, to)
    users = _users(of)
    people = (
        {"$distinct_id": user, "$properties": {"$email": "x@example.org", "company_id": account}}
        for user, account in zip(users["user_id"], users["account_id"], strict=True)
    )
    _lines(to, "people.jsonl", people)
    events = of["events"].assign(time=_epoch(of["events"]["occurred_at"]))
    rows = [
        {
            "event": row["feature"],
            "properties": {"time": row["time"], "distinct_id": row["user_id"], "$insert_id": f"i{number}"},
        }
        for number, row in enumerate(events.to_dict("records"))
    ]
    _lines(to, "export.jsonl", [*rows, {**rows[0], "event": "$identify"}])


def mixpanel_pipeline(of: Frames, to: Path) -> None:
    _mixpanel_groups(of, to)
    events = of["events"]
    _csv(
        to,
        "mp_master_event.csv",
        {
            "mp_event_name": events["feature"],
            "$time": _epoch(events["occurred_at"]),
            "distinct_id": events["user_id"],
            "company_id": events["account_id"],
            "$insert_id": _numbers(events),
        },
    )


def amplitude(of: Frames, to: Path) -> None:
    rows = [
        {
            "event_type": row["feature"],
            "event_time": f"{row['occurred_at']:%Y-%m-%d %H:%M:%S.%f}",
            "server_upload_time": f"{row['recorded_at']:%Y-%m-%d %H:%M:%S.%f}",
            "user_id": row["user_id"],
            "amplitude_id": 7,
            "groups": {"company": [row["account_id"]]},
            "event_properties": {},
        }
        for row in of["events"].to_dict("records")
    ]
    _lines(to, "12345_2026-01-05_10#0.json", [*rows, {**rows[0], "event_type": "session_start"}])


def pendo(of: Frames, to: Path) -> None:
    accounts, events, answers = of["accounts"], of["events"], of["surveys"]
    _csv(
        to,
        "accounts.csv",
        {
            "accountId": accounts["account_id"],
            "metadata_agent_name": accounts["name"],
            "metadata_auto_firstvisit": _epoch(accounts["signed_up_at"], 1000),
            "metadata_auto_lastvisit": 1759708800000,
        },
    )
    _csv(
        to,
        "featureEvents.csv",
        {
            "accountId": events["account_id"],
            "visitorId": events["user_id"],
            "featureId": events["feature"],
            "day": _epoch(events["occurred_at"].dt.floor("D"), 1000),
            "numEvents": events["quantity"].astype(int),
            "numMinutes": 3,
        },
    )
    _csv(
        to,
        "pollEvents.csv",
        {
            "accountId": answers["account_id"],
            "visitorId": "v",
            "pollId": "p1",
            "pollResponse": answers["score"].astype(int),
            "browserTime": _epoch(answers["answered_at"], 1000),
        },
    )


def by_day(of: Frames) -> Frames:
    events = of["events"]
    return {**of, "events": events.assign(occurred_at=events["occurred_at"].dt.floor("D"))}


def shopify(of: Frames, to: Path) -> None:
    accounts, events, refunds = of["accounts"], of["events"], of["complaints"]
    _csv(
        to,
        "customers_export.csv",
        {
            "Customer ID": _numbers(accounts),
            "First Name": "Firm",
            "Last Name": accounts["name"].str.removeprefix("Firm "),
            "Email": accounts["account_id"].str.title(),
            "Total Spent": 1,
            "Total Orders": 1,
        },
    )
    local = "%Y-%m-%d %H:%M:%S -0500"
    orders = pd.DataFrame(
        {
            "Name": "#" + _numbers(events, 1001).astype(str),
            "Email": events["account_id"],
            "Financial Status": "paid",
            "Created at": (events["occurred_at"] - pd.Timedelta(hours=5)),
            "Total": events["quantity"],
            "Lineitem name": events["feature"],
            "Source": events["feature"],
            "Cancelled at": None,
        }
    )
    further = orders.head(9).assign(**{"Financial Status": None, "Total": None, "Source": None})
    _csv(to, "orders_export.csv", pd.concat([orders, further]), local)
    first = orders.drop_duplicates("Email").set_index("Email")["Name"]
    refunded = {
        "Order": 1,
        "Name": refunds["account_id"].map(first),
        "Kind": "refund",
        "Gateway": "manual",
        "Created At": refunds["opened_at"] - pd.Timedelta(hours=5),
        "Status": "success",
        "Amount": 5,
    }
    _csv(to, "transactions_export.csv", _append(pd.DataFrame(refunded), Kind="sale"), local)


def shopify_api(of: Frames, to: Path) -> None:
    accounts, events, refunds = of["accounts"], of["events"], of["complaints"]
    iso = "%Y-%m-%dT%H:%M:%S+00:00"
    customers = {
        "id": accounts["account_id"],
        "email": "x@example.org",
        "last_name": accounts["name"],
        "created_at": accounts["signed_up_at"],
    }
    _csv(to, "customers.csv", customers, iso)
    orders = pd.DataFrame(
        {
            "id": _numbers(events, 5001),
            "customer_id": events["account_id"],
            "created_at": events["occurred_at"],
            "total_price": events["quantity"],
            "financial_status": "paid",
            "source_name": events["feature"],
            "test": "false",
        }
    )
    _csv(to, "orders.csv", _append(orders, id=1, test="true"), iso)
    first = orders.drop_duplicates("customer_id").set_index("customer_id")["id"]
    _csv(
        to,
        "refunds.csv",
        {
            "id": _numbers(refunds),
            "order_id": refunds["account_id"].map(first),
            "created_at": refunds["opened_at"],
        },
        iso,
    )


def all_refunds(of: Frames) -> Frames:
    return {**of, "complaints": of["complaints"].assign(category="refund")}


def spreadsheet(of: Frames, to: Path) -> None:
    from openpyxl import Workbook

    accounts, events, tickets, terms, answers = (
        of[name] for name in ("accounts", "events", "complaints", "subscriptions", "surveys")
    )
    sheets = {
        "Customers": accounts.set_axis(
            ["Customer ID", "Company", "Customer since", "CSM", "Segment"], axis=1
        ),
        "Contracts": terms.drop(columns=["subscription_id"]).set_axis(
            [
                "Customer ID",
                "Start date",
                "End date",
                "Plan",
                "MRR",
                "Seats",
                "Status",
                "Trial ends",
                "Notice given",
            ],
            axis=1,
        ),
        "Usage": events[["account_id", "occurred_at", "feature", "user_id", "quantity"]].set_axis(
            ["Customer ID", "Date", "Feature", "User", "Quantity"], axis=1
        ),
        "Tickets": tickets.drop(columns=["first_response_at"]).set_axis(
            ["Customer ID", "Opened", "Closed", "Priority", "Category", "CSAT"], axis=1
        ),
        "NPS": answers[["account_id", "answered_at", "score"]].set_axis(
            ["Customer ID", "Answered", "NPS"], axis=1
        ),
    }
    book = Workbook(write_only=True)
    for name, frame in sheets.items():
        sheet = book.create_sheet(name)
        sheet.append([f"{name} of the company"])
        sheet.append([])
        sheet.append(list(frame.columns))
        for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
            sheet.append(
                [value.to_pydatetime() if isinstance(value, pd.Timestamp) else value for value in row]
            )
    book.save(to / "CS data.xlsx")


def terms_by_day(of: Frames) -> Frames:
    """Return the company with terms that begin and end at midnight."""
    terms = of["subscriptions"].copy()
    for column in ("started_at", "ended_at", "cancelled_at"):
        terms[column] = terms[column].dt.floor("D")
    return {**of, "subscriptions": terms}


def terms_by_date(of: Frames) -> Frames:
    """Return the company with terms that begin and end on days, the last one included."""
    terms = of["subscriptions"].copy()
    for column in ("started_at", "ended_at"):
        terms[column] = terms[column].dt.strftime("%Y-%m-%d")
    return {**of, "subscriptions": terms}


_NAMED = "account_id name signed_up_at"
_KNOWN = f"{_NAMED} owner segment"
_DEALS = {
    "accounts": _KNOWN,
    "complaints": _CRM_TICKETS,
    "subscriptions": "account_id started_at ended_at mrr",
}

SHAPES = {
    "stripe_dashboard": Shape(
        "stripe_dashboard",
        "cus_{:04}".format,
        stripe_dashboard,
        {"accounts": _NAMED, "subscriptions": _BILLING},
    ),
    "stripe_warehouse": Shape(
        "stripe_warehouse",
        "cus_{:04}".format,
        stripe_warehouse,
        {"accounts": _NAMED, "subscriptions": _BILLING},
    ),
    "chargebee": Shape(
        "chargebee", "cb{:04}".format, chargebee, {"accounts": _NAMED, "subscriptions": _BILLING}
    ),
    "recurly": Shape("recurly", "acme-{}".format, recurly, {"accounts": _NAMED, "subscriptions": _BILLING}),
    "zuora": Shape(
        "zuora",
        "8a8{:05}".format,
        zuora,
        {
            "accounts": f"{_NAMED} owner",
            "subscriptions": "account_id started_at ended_at plan mrr seats cancelled_at",
        },
        terms_by_day,
    ),
    "hubspot_pages": Shape("hubspot", "15{:05}".format, hubspot_pages, _DEALS),
    "hubspot_api": Shape("hubspot", "15{:05}".format, hubspot_api, _DEALS),
    "salesforce": Shape("salesforce", "001Ab00000{:05}".format, salesforce, _DEALS, terms_by_date),
    "zendesk": Shape(
        "zendesk", "crm-{}".format, zendesk, {"accounts": _NAMED, "complaints": f"{_CRM_TICKETS} csat"}
    ),
    "intercom": Shape(
        "intercom",
        "crm-{}".format,
        intercom,
        {"accounts": _NAMED, "complaints": "account_id opened_at resolved_at first_response_at csat"},
    ),
    "segment": Shape(
        "segment", "g{}".format, segment, {"accounts": f"{_NAMED} segment", "events": _WHOLE_EVENTS}
    ),
    "segment_raw": Shape(
        "segment", "g{}".format, segment_raw, {"accounts": f"{_NAMED} segment", "events": _WHOLE_EVENTS}
    ),
    "segment_calls": Shape(
        "segment", "g{}".format, segment_calls, {"accounts": f"{_NAMED} segment", "events": _WHOLE_EVENTS}
    ),
    "posthog": Shape("posthog", "ph-{}".format, posthog, {"accounts": _NAMED, "events": _WHOLE_EVENTS}),
    "posthog_persons": Shape(
        "posthog", "ph-{}".format, posthog_persons, {"accounts": _NAMED, "events": _WHOLE_EVENTS}
    ),
    "mixpanel": Shape(
        "mixpanel",
        "mp{}".format,
        mixpanel,
        {"accounts": _NAMED, "events": "account_id occurred_at feature user_id"},
    ),
    "mixpanel_pipeline": Shape(
        "mixpanel",
        "mp{}".format,
        mixpanel_pipeline,
        {"accounts": _NAMED, "events": "account_id occurred_at feature user_id"},
    ),
    "amplitude": Shape(
        "amplitude", "amp{}".format, amplitude, {"accounts": "account_id", "events": _WHOLE_EVENTS}
    ),
    "pendo": Shape(
        "pendo",
        "p{}".format,
        pendo,
        {
            "accounts": _NAMED,
            "events": "account_id occurred_at feature user_id quantity",
            "surveys": "account_id answered_at score",
        },
        by_day,
    ),
    "shopify": Shape(
        "shopify",
        "buyer{}@example.org".format,
        shopify,
        {
            "accounts": "account_id name",
            "events": "account_id occurred_at feature quantity",
            "complaints": "account_id opened_at category",
        },
        all_refunds,
    ),
    "shopify_api": Shape(
        "shopify",
        "77{:04}".format,
        shopify_api,
        {
            "accounts": _NAMED,
            "events": "account_id occurred_at feature quantity",
            "complaints": "account_id opened_at category",
        },
        all_refunds,
    ),
    "spreadsheet": Shape(
        "spreadsheet",
        "K-{}".format,
        spreadsheet,
        {
            "accounts": _KNOWN,
            "events": "account_id occurred_at feature user_id quantity",
            "complaints": f"{_CRM_TICKETS} csat",
            "subscriptions": _BILLING,
            "surveys": "account_id answered_at score",
        },
    ),
}
