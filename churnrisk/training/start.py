"""Start a project: from a folder of files, with a churnrisk.toml argued from them, or as a sample world."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from churnrisk.contract import blocking, reaches
from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.features import CATALOGUE, select_features
from churnrisk.files import write_whole
from churnrisk.records import Violation
from churnrisk.sample import make_world, write_world
from churnrisk.settings import parse_settings, project_in
from churnrisk.snapshots import Horizon
from churnrisk.sources import Guess, MappedTable, Question, guess_tables, open_engine, open_tables
from churnrisk.training.checked import Progress
from churnrisk.training.definition import Definition, argue, plan_dates
from churnrisk.training.panel import check

_HEAD = """# churnrisk project. `churnrisk check` says what is wrong with it; paths are relative to this file.
# Times without a zone count as UTC: timezone = "Europe/Berlin" under a table says otherwise.
[project]
name = {name}
"""
_MEANT = {
    "contractual": "a subscription ends and none covers the account within grace_days",
    "inactivity": "active in the look-back, then silent through the horizon",
    "labels": "your own labels, one row per (account_id, as_of)",
}
_COMMENTS = {
    "horizon_days": "the churn probability is that of so many days",
    "grace_days": "how late a renewal may come",
    "lookback_days": "who had no event in so many days is not scored",
    "first": "when your data are complete from this day on",
    "data_until": "the tables are complete before this day",
    "every_days": "one training row per account so often",
    "split": "one snapshot only: validate on held-out accounts",
}
_RECENT = timedelta(days=31)
_DECISION = """
[decision]
policy = "certified"         # green and red keep a promised churn rate; or "capacity", "cost", "fixed"
capacity = 50                # accounts your team can review between two runs
"""

Prompt = Callable[[Question], str | None]


class Answers:
    """Answers questions: as given, by asking a person, or by the default."""

    def __init__(self, given: Mapping[str, str], prompt: Prompt | None) -> None:
        self._given, self._prompt = dict(given), prompt
        self._asked: dict[str, Question] = {}
        self._found: dict[str, str | None] = {}

    def __call__(self, question: Question) -> str | None:
        """Return the answer; None where there is none."""
        key = question.key
        if key not in self._found:
            self._asked[key] = question
            self._found[key] = self._answer(question)
        return self._found[key]

    def _answer(self, question: Question) -> str | None:
        for key in (question.key, question.key.rpartition(".")[2]):
            if key in self._given:
                answer = self._given[key]
                if question.choices and answer not in question.choices and not question.free:
                    raise UsageError(
                        f"--answer {key}={answer}: expected one of {', '.join(map(repr, question.choices))}."
                    )
                return answer
        if self._prompt and (question.close or question.default is None):
            return self._prompt(question)
        return question.default

    @property
    def unanswered(self) -> list[str]:
        """The flags that would answer what is open."""
        return [_flag(self._asked[key]) for key, answer in self._found.items() if answer is None]

    def require_used(self) -> None:
        """Refuse answers to questions that did not come up."""
        keys = {key for one in self._asked for key in (one, one.rpartition(".")[2])}
        unknown = sorted(set(self._given) - keys)
        if unknown:
            raise UsageError(
                f"--answer {unknown[0]}=… answers no question about these files; the questions were "
                f"{', '.join(self._asked) or 'none'}."
            )


def _flag(question: Question) -> str:
    choices = " or ".join(f'"{choice}"' for choice in question.choices[:5])
    return f"{question.text} --answer {question.key}={choices or 'VALUE'}"


@dataclass(frozen=True)
class StartedProject:
    """The churnrisk.toml that ``init`` wrote (or would write), and all that is to be said about it.

    ``choices`` were made by default, ``left`` says of each unused file why, ``unanswered`` are questions without a safe
    default, ``refusal`` is why `check` refuses these settings, ``possible_from`` when a model will be possible.
    """

    path: Path
    text: str
    tables: dict[str, MappedTable]
    choices: tuple[str, ...]
    left: dict[str, str]
    unanswered: tuple[str, ...]
    violations: tuple[Violation, ...] = ()
    refusal: str = ""
    possible_from: date | None = None

    @property
    def is_ready(self) -> bool:
        """Whether `check` accepts the settings and nothing is open."""
        return not (self.unanswered or self.refusal or blocking(self.violations))


def start_project(
    folder: Path,
    *,
    force: bool,
    dry_run: bool,
    answers: Mapping[str, str],
    prompt: Prompt | None,
    now: datetime,
    progress: Progress,
) -> StartedProject:
    """Map the files of a folder, argue for a definition of churn, check it all, and write churnrisk.toml there.

    ``prompt`` asks a person; without one, defaults answer.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Give the one that holds your tables.")
    path = folder / "churnrisk.toml"
    if path.exists() and not (force or dry_run):
        raise UsageError(
            f"{path} exists already. Use --force to replace it, or --dry-run to see what would be written."
        )
    asked = Answers(answers, prompt)
    progress("looking at the files")
    guess = guess_tables(folder, now=now, ask=asked, taken=frozenset(one.name for one in CATALOGUE))
    if not guess.tables and not guess.left:
        raise UsageError(
            f"{folder} holds no CSV, Parquet, JSON file or workbook. Put your tables there, or map them by url."
        )
    started = _argued(path, guess, asked, now=now, progress=progress)
    asked.require_used()
    if not dry_run:
        write_whole(path, started.text.encode())
    return started


def make_sample(
    folder: Path, *, seed: int, accounts: int, months: int, force: bool, progress: Progress
) -> str:
    """Write a sample world and say in a sentence what it is."""
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{folder} is not empty. Choose another folder, or use --force to write into it.")
    progress(f"making a world of {accounts:,} accounts and {months} months")
    world = make_world(seed=seed, accounts=accounts, months=months)
    progress("writing its tables")
    write_world(world, folder)
    return (
        f"wrote {len(world.accounts):,} accounts, {len(world.events):,} events and "
        f"{len(world.complaints):,} complaints to {folder}; the true churn probabilities are in truth.parquet"
    )


def _argued(path: Path, guess: Guess, asked: Answers, *, now: datetime, progress: Progress) -> StartedProject:
    """Choose the definition on the tables as mapped, and check the result."""
    found, refusal = Definition(None, ""), ""
    violations: Sequence[Violation] = ()
    possible: date | None = None
    span: Horizon | None = None
    flag = guess.flag[0] if guess.flag else ""
    unread = [name for name in guess.left if "subscription" in name.lower()]
    try:
        project = project_in(
            parse_settings(_render(path, guess, found, ()).encode()), path.parent, data=path.parent
        )
        with open_engine(project.engine, base=project.data) as engine:
            progress("choosing a definition of churn")
            tables = open_tables(engine, project.tables)
            found = argue(tables, label=guess.label, flag=flag, unread=unread, ask=asked)
            if (
                guess.flag
                and found.definition == "labels"
                and "labels" not in guess.tables
                and not guess.label
            ):
                last = max(one.last for one in reaches(engine.rows, tables.available, now=now).values())
                query = guess.flag[1].replace("{as_of}", str(last + timedelta(days=1)))
                guess.tables["labels"] = MappedTable(
                    {"sql": query}, flag, ["as of the day after the last row"]
                )
            select_features(project.features, tables.available)  # refuses what training would
        if guess.data_until:
            monthly = {"every_months": 1} if guess.data_until.day == 1 else {}
            found.snapshots |= {**monthly, "data_until": guess.data_until}
        for _ in range(2):
            project = project_in(
                parse_settings(_render(path, guess, found, ()).encode()), path.parent, data=path.parent
            )
            report = check(project, leaks=False, now=now, progress=progress)
            violations, span = report.violations, report.span
            if span is not None:
                possible = plan_dates(found, span)
                break
            latest = max((one.last for one in report.reach.values()), default=now.date())
            if not _take_common_end(found, violations, latest, asked):
                break
    except ChurnRiskError as error:
        refusal = str(error)
    if found.definition is None and not refusal:
        refusal = found.why
    if asked.unanswered and (not guess.tables or refusal == found.why):
        refusal = ""  # the question says it
    choices = [
        *guess.choices,
        *([f"churn: {found.definition}: {found.why}", *found.notes] if found.definition else []),
    ]
    unanswered = tuple(asked.unanswered)
    return StartedProject(
        path,
        _render(path, guess, found, (*unanswered, *([refusal] if refusal else []))),
        guess.tables,
        tuple(choices),
        guess.left,
        unanswered,
        tuple(violations),
        refusal,
        possible,
    )


def _take_common_end(
    found: Definition, violations: Sequence[Violation], latest: date, asked: Answers
) -> bool:
    """Take the last date that all tables reach, where one of them ends early."""
    dates = [
        date.fromisoformat(match.group(1))
        for one in violations
        if (match := re.search(r"data_until = (\d{4}-\d{2}-\d{2})", one.fix)) and one.level == "error"
    ]
    if not dates:
        return False
    text = f"a table ends long before the others, which reach {latest}; up to which day are all complete?"
    # a list of long ago is not what anybody expects
    recent = latest - min(dates) <= _RECENT
    answer = asked(
        Question("data_until", text, (str(min(dates)),), str(min(dates)) if recent else None, free=True)
    )
    if answer is None:
        return False
    found.snapshots["data_until"] = date.fromisoformat(answer)
    found.notes.append(f"not all tables reach the last day, so the data end before {answer}")
    return True


def _render(path: Path, guess: Guess, found: Definition, open_: Sequence[str]) -> str:
    """Return the text of churnrisk.toml."""
    parts = [_HEAD.format(name=json.dumps(path.parent.resolve().name, ensure_ascii=False))]
    if open_:
        parts.insert(
            0, "# Left open:\n" + "".join(f"#   {' '.join(line.split())}\n" for line in open_) + "\n"
        )
    parts += [_table(name, table) for name, table in guess.tables.items()]
    if guess.left:
        parts.append(
            "\n"
            + "".join(f"# not used: {name}: {' '.join(why.split())}\n" for name, why in guess.left.items())
        )
    if found.definition:
        churn = {"definition": found.definition, **found.churn}
        comments = _COMMENTS | {"definition": _MEANT[found.definition]}
        parts.append(
            f"\n# {found.why}\n"
            + "".join(f"# {note}\n" for note in found.notes)
            + _section("churn", churn, comments)
        )
        if found.definition != "labels":
            dates = (
                found.snapshots if "every_months" in found.snapshots else {"every_days": 30} | found.snapshots
            )
            parts.append("\n" + _section("snapshots", dates, _COMMENTS))
    features = {"key_features": list(guess.key_features), "static": list(guess.static)}
    parts.append(_features(features))
    parts.append(_DECISION)
    if guess.rules_off:
        parts.append(f"rules_off = {_value(list(guess.rules_off))}\n")
    if found.model:
        parts.append("\n" + _section("model", found.model, _COMMENTS))
    return "".join(parts)


def _section(name: str, values: Mapping[str, object], comments: Mapping[str, str]) -> str:
    lines = [f"[{name}]"]
    for key, value in values.items():
        line = f"{key} = {_value(value)}"
        lines.append(f"{line:<28} # {comments[key]}" if key in comments else line)
    return "\n".join(lines) + "\n"


def _features(values: Mapping[str, list[str]]) -> str:
    meant = {
        "key_features": ('["login"]', "product features whose own recency matters"),
        "static": (
            '["country"]',
            "columns of accounts that never change; others show today's state and would leak",
        ),
    }
    lines = [
        f"{f'{key} = {_value(value)}' if value else f'# {key} = {meant[key][0]}':<28} # {meant[key][1]}"
        for key, value in values.items()
    ]
    return "\n[features]\n" + "\n".join(lines) + "\n"


def _table(name: str, table: MappedTable) -> str:
    lines = ["", *(f"# {note}" for note in table.notes), f"[tables.{name}]"]
    settings = dict(table.settings)
    columns = settings.pop("columns", {})
    lines += [f"{key} = {_value(value)}" for key, value in settings.items()]
    lines += [f"# {line}" for line in table.unanswered]
    if columns:
        lines.append(f"[tables.{name}.columns]     # the contract's name = yours")
        lines += [f"{key} = {_value(value)}" for key, value in columns.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Write a value as TOML."""
    if isinstance(value, str):
        return f"'''\n{value}\n'''" if "\n" in value and "'''" not in value else _text(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: str) -> str:
    # SQL and names with quotes are readable as literal strings
    literal = '"' in value and "'" not in value
    return f"'{value}'" if literal else json.dumps(value, ensure_ascii=False)
