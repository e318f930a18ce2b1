"""The JSON API: what it returns, to which token, and that no request breaks it."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, make_url

from churnrisk.auth import TOKEN_MARK, add_token, digest, revoke_token
from churnrisk.records import Role
from churnrisk.settings import load_project
from churnrisk.store import HistoryStore
from churnrisk.store import tokens as token_table
from churnrisk.web import RateLimiter
from tests.uncounted import uncounted
from tests.web.conftest import Site, add_people, serving


@dataclass(frozen=True)
class Api:
    """A running server, with tokens by name: viewer, reviewer, owner (a reviewer of one owner's accounts)."""

    site: Site
    tokens: dict[str, str]
    ids: dict[str, int]
    owner: str

    def __call__(
        self, method: str, path: str, token: str | None = "reviewer", **options: Any
    ) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {self.tokens.get(token, token)}"}
        headers |= options.pop("headers", {})
        return httpx.request(method, f"{self.site.url}/api/v1{path}", headers=headers, timeout=60, **options)


@pytest.fixture(scope="module")
def api(scored_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = Path(shutil.copytree(scored_world, tmp_path_factory.mktemp("api") / "project"))
    with (folder / "churnrisk.toml").open("a") as settings:
        settings.write("\n[web]\napi_requests_per_minute = 100000\n")
    project = load_project(folder)
    tokens, ids = {}, {}
    now = datetime.now(UTC)
    with HistoryStore(project.store_url) as store:
        run = store.latest_run()
        scores = store.scores(run.run_id, columns=["account_id", "owner", "colour"])
        owner = scores[scores["colour"] == "red"]["owner"].dropna().iloc[0]
        for name, role, limit in (
            ("viewer", Role.VIEWER, None), ("reviewer", Role.REVIEWER, None), ("owner", Role.REVIEWER, owner),
            ("revoked", Role.ADMIN, None),
        ):  # fmt: skip
            ids[name], tokens[name] = add_token(
                store, name, role=role, owner=limit, expires_at=None, created_by="test", now=now
            )
        revoke_token(store, ids["revoked"], now=now)
        _, tokens["expired"] = add_token(
            store, "expired", role=Role.ADMIN, owner=None, expires_at=now + timedelta(microseconds=1),
            created_by="test", now=now,
        )  # fmt: skip
        tokens["of nobody"] = TOKEN_MARK + "an earlier version made it"
        of_nobody = {
            "name": "of nobody", "prefix": "an ear", "digest": digest(tokens["of nobody"]), "role": "reviewer",
            "owner": "", "created_by": "test", "created_at": now.replace(tzinfo=None),
        }  # fmt: skip
        with store.database.writing() as connection:
            connection.execute(insert(token_table).values(**of_nobody))
    add_people(folder, {"ana": Role.ADMIN})
    with serving(folder) as site:
        yield Api(site, tokens, ids, owner)


def first(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api("GET", "/redlist?per_page=1").json()["accounts"][0]
    return found


def problem(answered: httpx.Response, status: int) -> dict[str, Any]:
    assert answered.status_code == status, answered.text
    assert answered.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answered.json()
    assert said["status"] == status
    assert said["detail"]
    return said


def test_the_red_list_has_totals_rows_and_pages(api):
    page = api("GET", "/redlist?per_page=3", "viewer").json()
    assert {total["label"] for total in page["totals"]} >= {"Accounts", "Red", "Revenue at risk"}
    assert len(page["accounts"]) == 3
    losses = [row["expected_loss"] for row in page["accounts"] if row["colour"] == "red"]
    assert losses == sorted(losses, reverse=True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", page["as_of"])
    assert all(
        row["reasons"][0]["text"] and row["next_step"] and row["arrow"] in "↑↓→•" for row in page["accounts"]
    )
    every, number = [], 1
    while rows := api("GET", f"/redlist?per_page=100&page={number}").json()["accounts"]:
        every += [row["account_id"] for row in rows]
        number += 1
    assert len(every) == len(set(every)) == page["matching"]
    assert sum(group["red"] + group["amber"] for group in page["by_segment"]) >= page["matching"]


def test_the_list_says_what_is_work_and_what_is_on_watch(api):
    places = api("GET", "/redlist").json()["places"]
    assert places["capacity"] == 50
    for place in ("work", "beyond", "watch", "handled"):
        page = api("GET", "/redlist", params={"place": place, "per_page": 500}).json()
        assert page["matching"] == places[place]
        assert {row["place"] for row in page["accounts"]} <= {place}
    work = api("GET", "/redlist?place=work").json()["accounts"]
    assert [row["rank"] for row in work] == [*range(1, len(work) + 1)]
    problem(api("GET", "/redlist?place=somewhere"), 422)


def test_filters_choose_what_the_page_would(api):
    red = api("GET", "/redlist?colour=red&per_page=500").json()
    assert {row["colour"] for row in red["accounts"]} == {"red"}
    row = red["accounts"][0]
    found = api(
        "GET", "/redlist", params={"q": row["name"], "owner": row["owner"], "segment": row["segment"]}
    ).json()
    assert row["account_id"] in [other["account_id"] for other in found["accounts"]]
    soon = api("GET", "/redlist?renews_within=30&per_page=500").json()["accounts"]
    assert all(0 <= other["days_to_renewal"] <= 30 for other in soon)
    assert api("GET", "/redlist?as_of=2026-06-01").json()["as_of"] == "2026-06-01T00:00:00Z"
    problem(api("GET", "/redlist?as_of=2020-01-01"), 404)


def test_an_account_has_its_history(api):
    row = first(api)
    account = api("GET", f"/accounts/{row['account_id']}").json()
    assert row.items() <= account.items()
    assert [past["as_of"] for past in account["history"]] == ["2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"]
    assert account["history"][-1]["colour"] == account["colour"]


def test_the_names_of_version_0_1_are_kept_for_one_release(api):
    row = first(api)
    assert row["moved"] == (row["move"] or {"text": ""})["text"]
    assert row["desk"].items() <= row.items()
    account = api("GET", f"/accounts/{row['account_id']}").json()
    assert all(past["probability"] == past["churn_probability"] for past in account["history"])
    described = api("GET", "/openapi.json", None).json()["components"]["schemas"]
    assert {
        name for name, field in described["Account"]["properties"].items() if field.get("deprecated")
    } == {
        "moved",
        "desk",
    }


def test_a_review_is_recorded_once_and_a_stale_one_is_a_conflict(api):
    row = first(api)
    path, version = f"/accounts/{row['account_id']}/reviews", row["version"]
    body = {"version": version, "disposition": "contacted", "note": "Spoke with them.", "author": "ana"}
    done = api("POST", path, json=body)
    assert done.status_code == 201
    assert (
        done.json()["desk"] | {"disposition": "contacted", "note": "Spoke with them."} == done.json()["desk"]
    )
    assert done.json()["desk"]["touched_by"] == "ana (via reviewer)"
    said = problem(api("POST", path, json=body | {"note": "Mine."}), 409)
    assert said["version"] == version + 1
    assert {change["after"] for change in said["changes"]} == {"contacted", "Spoke with them."}
    on_top = api("POST", path, json=body | {"note": "Mine.", "version": said["version"]})
    assert on_top.status_code == 201
    entries = api("GET", path, "viewer").json()
    assert [entry["after"] for entry in entries if entry["field"] == "note"] == ["Mine.", "Spoke with them."]
    assert {entry["via"] for entry in entries} == {"api"}


def test_the_changes_of_an_account_are_read_page_by_page_without_a_gap(api):
    row = api("GET", "/redlist?per_page=1&page=2").json()["accounts"][0]
    path, version = f"/accounts/{row['account_id']}/reviews", row["version"]
    for number in range(5):
        body = {"version": version + number, "disposition": "contacted", "note": f"Call {number}."}
        assert api("POST", path, json=body | {"assignee": "Kim"}).status_code == 201
    every = api("GET", path).json()
    for limit in (1, 2, 4, 500):
        read, before = [], ""
        while page := api("GET", f"{path}?limit={limit}{before}").json():
            read += page
            before = f"&before={page[-1]['review_id']}"
        assert read == every
    assert len(every) >= 15


def test_two_writers_at_once_have_one_winner(api):
    row = first(api)
    version = api("GET", f"/accounts/{row['account_id']}").json()["desk"]["version"]
    line_up, found = threading.Barrier(4), []

    def write(number: int) -> None:
        line_up.wait()
        body = {"version": version, "note": f"number {number}"}
        found.append(api("POST", f"/accounts/{row['account_id']}/reviews", json=body).status_code)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [201, 409, 409, 409]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422), ({"version": -1, "note": "x"}, 422), ({"version": "x"}, 422), ({"version": 0}, 400),
        ({"version": 0, "disposition": "snoozed"}, 400), ({"version": 0, "disposition": "lost"}, 422),
        ({"version": 0, "note": "x", "color": "red"}, 422), ({"version": 0, "note": "\x00"}, 422),
        ({"version": 0, "override": "red", "until": "2020-01-01", "reason": "r"}, 400),
        ({"version": 0, "note": "x" * 10_001}, 422), ({"version": 10**30, "note": "x"}, 422), ([], 422),
    ],
)  # fmt: skip
def test_a_review_that_says_too_little_or_something_else_is_refused(api, body, status):
    path = f"/accounts/{first(api)['account_id']}/reviews"
    before = api("GET", path).json()
    problem(api("POST", path, json=body), status)
    assert api("GET", path).json() == before


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b'{"version": NaN}', b'{"version": 0, "note": "\\ud800"}', b"null"]
)
def test_a_body_that_is_no_json_is_reported(api, content):
    path = f"/accounts/{first(api)['account_id']}/reviews"
    headers = {"content-type": "application/json"}
    answered = api("POST", path, content=content, headers=headers)
    problem(answered, 400 if content == b"\xff" else 422)


def test_nobody_who_reads_waits_for_those_who_wait_for_a_writer(api):
    path = f"/accounts/{first(api)['account_id']}/reviews"
    version = first(api)["desk"]["version"]
    publishing = sqlite3.connect(
        make_url(load_project(api.site.project).store_url).database, isolation_level=None
    )
    publishing.execute("begin immediate")
    with ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(api, "POST", path, json={"version": version, "note": "Waits."}),
            pool.submit(api, "POST", "/actions/hand-out?colour=amber"),
        ]
        time.sleep(1)
        began = time.monotonic()
        assert api("GET", "/runs").status_code == 200
        took = time.monotonic() - began
        assert not any(one.done() for one in waiting)
        publishing.execute("rollback")
        publishing.close()
        assert [one.result().status_code for one in waiting] == [201, 200]
    assert took < 2


def test_a_body_that_is_too_large_is_reported(api):
    path = f"/accounts/{first(api)['account_id']}/reviews"
    problem(api("POST", path, json={"version": 0, "note": "x" * 200_000}), 413)


def test_actions_are_looked_at_and_handed_out_once(api):
    seen = api("GET", "/actions?colour=red", "viewer").json()
    assert seen["actions"]
    assert not seen["recorded"]
    assert api("GET", "/actions?colour=red").json() == seen
    handed = api("POST", "/actions/hand-out?colour=red").json()
    assert [action["key"] for action in handed["actions"]] == [action["key"] for action in seen["actions"]]
    assert api("POST", "/actions/hand-out?colour=red").json()["actions"] == []


def test_a_token_of_one_owner_does_not_see_what_counts_the_whole_team(api):
    for path in ("/runs", "/promises"):
        answer = api("GET", path, "owner")
        assert answer.status_code == 403
        assert "whole team" in answer.json()["detail"]


def test_runs_and_promises_are_listed(api):
    runs = api("GET", "/runs", "viewer").json()
    assert [run["as_of"][:10] for run in runs] == ["2026-07-01", "2026-06-01"]
    promised = api("GET", "/promises", "viewer").json()
    assert all(one["colour"] in ("green", "amber", "red") and one["verdict"] for one in promised)


@pytest.mark.parametrize("token", [None, "x", "churnrisk_unknown", "revoked", "expired", "churnrisk_é"])
def test_only_tokens_in_force_are_let_in(api, token):
    said = api("GET", "/runs", token) if token is None or token.isascii() else None
    if said is None:
        headers = {"authorization": b"Bearer churnrisk_\xc3\xa9"}
        said = httpx.get(f"{api.site.url}/api/v1/runs", headers=headers)
    problem(said, 401)
    assert said.headers["www-authenticate"] == "Bearer"


def test_a_viewer_changes_nothing(api):
    body = {"version": 0, "note": "x"}
    problem(api("POST", f"/accounts/{first(api)['account_id']}/reviews", "viewer", json=body), 403)
    problem(api("POST", "/actions/hand-out", "viewer"), 403)


def test_for_a_token_of_one_owner_nothing_else_exists(api):
    mine = api("GET", "/redlist?per_page=500&snoozed=all", "owner").json()
    everything = api("GET", "/redlist?per_page=500&snoozed=all").json()
    assert {row["owner"] for row in mine["accounts"]} == {api.owner}
    assert 0 < mine["matching"] < everything["matching"]
    other = next(row for row in everything["accounts"] if row["owner"] not in (api.owner, None))
    hidden = api("GET", f"/accounts/{other['account_id']}", "owner")
    missing = api("GET", "/accounts/nowhere-to-be-found", "owner")
    assert problem(hidden, 404)["detail"].replace(other["account_id"], "") == problem(missing, 404)[
        "detail"
    ].replace("nowhere-to-be-found", "")
    problem(api("GET", f"/accounts/{other['account_id']}/reviews", "owner"), 404)
    body = {"version": 0, "note": "x"}
    problem(api("POST", f"/accounts/{other['account_id']}/reviews", "owner", json=body), 404)
    assert api("GET", "/redlist", "owner", params={"owner": other["owner"]}).json()["accounts"] == []
    actions = api("GET", "/actions", "owner").json()["actions"]
    assert {action["owner"] for action in actions} <= {api.owner}
    assert api("GET", "/actions", "owner", params={"owner": other["owner"]}).json()["actions"] == []


def test_a_token_of_an_empty_owner_sees_nothing_at_all(api):
    assert api("GET", "/redlist", "of nobody").json()["accounts"] == []
    assert api("GET", "/actions", "of nobody").json()["actions"] == []
    assert api("POST", "/actions/hand-out", "of nobody", params={"owner": api.owner}).json()["actions"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/", 404),
        ("DELETE", "/runs", 405),
        ("PUT", "/accounts/1/reviews", 405),
    ],
)
def test_errors_are_never_pages(api, method, path, status):
    problem(api(method, path, headers={"accept": "text/html"}), status)


def test_a_refused_method_says_which_ones_there_are(api):
    assert api("PUT", "/accounts/1/reviews").headers["allow"] == "GET, POST"
    assert api("PUT", "/accounts/1").headers["allow"] == "GET"


def test_the_description_has_examples_and_error_shapes(api):
    described = api("GET", "/openapi.json", None).json()
    assert described["servers"] == [{"url": "/api/v1"}]
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert {"401", "403", "422", "429", "503"} <= set(operation["responses"]), path
            assert "application/problem+json" in operation["responses"]["422"]["content"]
            assert operation["security"]
    assert described["components"]["schemas"]["Review"]["examples"]
    assert described["components"]["schemas"]["Problem"]["examples"]


def test_a_token_that_comes_too_often_has_to_wait():
    limiter = RateLimiter(60)
    assert [limiter.take("a", at=100) for _ in range(15)] == [0] * 15
    assert limiter.take("a", at=100) == pytest.approx(1)
    assert limiter.take("b", at=100) == 0
    assert limiter.take("a", at=101.1) == 0
    assert limiter.take("a", at=101.1) > 0


def test_schemathesis_finds_no_request_that_makes_it_stumble(api, tmp_path):
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.site.url}/api/v1/openapi.json",
        "--header", f"Authorization: Bearer {api.tokens['reviewer']}", "--checks", "all",
        # A snooze without its end is valid by the schema and refused all the same.
        "--exclude-checks", "positive_data_acceptance",
        "--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--seed", "1", "--no-color",
        "--generation-database", "none", "--suppress-health-check", "all",
    ]  # fmt: skip
    ran = subprocess.run(
        command, cwd=tmp_path, env=uncounted(), capture_output=True, text=True, timeout=500, check=False
    )
    assert ran.returncode == 0, ran.stdout[-6000:]
    assert "8 selected / 8 total" in ran.stdout
    assert api.site.process.poll() is None


def test_tokens_are_not_tried_out_without_end(api):
    for number in range(300):
        answered = api("GET", "/runs", f"churnrisk_guess{number}")
        if answered.status_code == 429:
            break
    said = problem(answered, 429)
    assert "Too many requests" in said["detail"]
    assert int(answered.headers["retry-after"]) >= 1
    assert api("GET", "/runs").status_code == 200
