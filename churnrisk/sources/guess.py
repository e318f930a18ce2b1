"""Guess which contract table each file of a folder is, and which of its columns is which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from churnrisk.contract import TABLES, TableSpec, identifier
from churnrisk.errors import ChurnRiskError
from churnrisk.sources.config import EngineConfig, TableConfig
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import file_kind, scan

#: Common names of the contract's columns, letters and digits only, best first.
_SYNONYMS = {
    "account_id": "accountid customerid clientid companyid organizationid orgid studentid memberid custid "
    "acctid acct account customer client userid id",
    "name": "name accountname companyname customername organization",
    "signed_up_at": "signedupat signupdate signup createdat created dateregistered registeredat begindate "
    "customersince joined joindate",
    "owner": "owner csm accountmanager accountowner customersuccessmanager",
    "segment": "segment industry tier vertical",
    "plan": "plan plantier planname purchasetype type product",
    "mrr": "mrr mrramount mrreur mrrusd monthlycharges monthlyrevenue monthlyfee amount",
    "seats": "seats licenses seatcount",
    "renewal_at": "renewalat renewaldate renewson nextrenewal termend",
    "contacts": "contacts contactcount knowncontacts",
    "occurred_at": "occurredat timestamp eventtime eventdate ts time date datewatched dateengaged usagedate "
    "invoicedate orderdate createdat datetime",
    "feature": "feature featurename event eventname action courseid stockcode module",
    "user_id": "userid user useremail personid contactid",
    "quantity": "quantity count usagecount minuteswatched amount units",
    "recorded_at": "recordedat loadedat ingestedat syncedat receivedat logged loggedat",
    "opened_at": "openedat opened submittedat createdat created dateopened opendate",
    "resolved_at": "resolvedat resolved closedat closed solvedat closedate",
    "severity": "severity priority urgency",
    "category": "category topic reason type",
    "csat": "csat satisfactionscore satisfaction rating",
    "first_response_at": "firstresponseat firstreplyat respondedat firstreply",
    "started_at": "startedat startdate start begindate datepurchased from validfrom",
    "ended_at": "endedat enddate end canceledat cancelledat to validto",
    "auto_renew": "autorenew autorenewflag autorenewal",
    "answered_at": "answeredat answeredon respondedon date respondedat daterated submittedat surveydate "
    "createdat",
    "score": "score nps npsscore rating courserating",
    "kind": "kind surveytype survey",
    "valid_from": "validfrom effectivefrom since from changedat startdate",
    "as_of": "asof asofdate snapshotdate date",
    "churned": "churned churn churnflag ischurned label target exited attrition",
}


@dataclass(frozen=True)
class GuessedTable:
    """One file, the contract table that fits it (None if none does), and its columns by contract name."""

    path: str
    table: str | None
    columns: dict[str, str]
    all_columns: tuple[str, ...]


def guess_tables(folder: Path) -> list[GuessedTable]:
    """Guess which contract table each data file of a folder is; a table goes to the file that fits it best."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and file_kind(path))
    guesses: list[GuessedTable] = []
    with Engine(EngineConfig(), base=folder) as engine:
        for path in files:
            columns = _columns(engine, path)
            fits = [_fit(path, columns, spec, engine) for spec in TABLES.values()]
            score, best = max(fits, key=lambda fit: fit[0])
            guesses.append(best if score > 0 else GuessedTable(path.name, None, {}, columns))
    return _one_file_per_table(guesses)


def _columns(engine: Engine, path: Path) -> tuple[str, ...]:
    try:
        return tuple(engine.columns(scan([path], TableConfig(path=path.name), engine=engine)))
    except ChurnRiskError:
        return ()  # the file is shown as one that nothing fits


def _fit(path: Path, columns: tuple[str, ...], spec: TableSpec, engine: Engine) -> tuple[float, GuessedTable]:
    """Score how well a file fits a table: its required columns, its optional ones, and its name."""
    found: dict[str, str] = {}
    for column in spec.columns:
        own = _match(column.name, [name for name in columns if name not in found.values()])
        if own:
            found[column.name] = own
    named = any(word in path.stem.lower() for word in spec.words.split())
    guess = GuessedTable(path.name, spec.name, found, columns)
    if (
        any(name not in found for name in spec.required)
        or (spec.name == "accounts" and not _is_unique(engine, path, found["account_id"]))
        or (spec.name in ("labels", "attributes") and not named)
    ):
        return 0.0, guess
    return 10.0 * named + len(found), guess


def _match(contract_name: str, columns: Sequence[str]) -> str | None:
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in columns}
    for word in (contract_name.replace("_", ""), *_SYNONYMS.get(contract_name, "").split()):
        if word in plain:
            return plain[word]
    return None


def _is_unique(engine: Engine, path: Path, column: str) -> bool:
    relation = scan([path], TableConfig(path=path.name), engine=engine)
    quoted = identifier(column)
    return bool(engine.value(f"select count(*) = count(distinct {quoted}) and count(*) > 0 from {relation}"))


def _one_file_per_table(guesses: Sequence[GuessedTable]) -> list[GuessedTable]:
    """Leave each table to the file with more mapped columns, or else with fewer others."""
    best: dict[str | None, GuessedTable] = {}
    for guess in sorted(guesses, key=lambda one: (-len(one.columns), len(one.all_columns))):
        best.setdefault(guess.table, guess)
    return [
        guess if best[guess.table] is guess else GuessedTable(guess.path, None, {}, guess.all_columns)
        for guess in guesses
    ]
