"""Start a project: from a folder of files, with a churnrisk.toml argued from them, or as a sample world."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from churnrisk.contract import Reach, blocking
from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.features import CATALOGUE, require_prepared, select_features
from churnrisk.files import write_whole
from churnrisk.records import Violation
from churnrisk.sample import make_world, write_world
from churnrisk.settings import Project, parse_settings, project_in
from churnrisk.snapshots import data_span
from churnrisk.sources import Guess, Question, Tables, guess_tables
from churnrisk.training.checked import CheckedTables, Progress, opened_tables
from churnrisk.training.definition import Definition, argue, plan_dates
from churnrisk.training.fit import what_a_model_awaits
from churnrisk.training.panel import suspects_in

_HEAD = """# churnrisk project. `churnrisk check` says what is wrong with it; paths are relative to this file.
# Times without a zone count as UTC: timezone = "Europe/Berlin" under a table says otherwise."""
_COMMENTS = {
    "horizon_days": "the churn probability is that of so many days",
    "grace_days": "how late a renewal may come",
    "lookback_days": "who had no event in so many days is not scored",
    "first": "when your data are complete from this day on",
    "data_until": "the tables are complete before this day",
    "every_days": "one training row per account so often",
    "split": "one snapshot only: validate on held-out accounts",
    "columns": "the contract's name = yours",
    "contractual": "a subscription ends and none covers the account within grace_days",
    "inactivity": "active in the look-back, then silent through the horizon",
    "labels": "your own labels, one row per (account_id, as_of)",
    "key_features": "product features whose own recency matters",
    "static": "columns of accounts that never change; others show today's state and would leak",
    "exclude": "consequences of the loss; vouch by trust for one that was known before",
    "policy": 'green and red keep a promised churn rate; or "capacity", "cost", "fixed"',
    "capacity": "accounts your team can review between two runs",
}
_RECENT = timedelta(days=31)
#: How the check proposes the form of ids, of accounts too.
_IDS = re.compile(r'Set ids = "(\w+)" under \[tables\.\w+\]( and \[tables\.accounts\])?')

Prompt = Callable[[Question], str | None]


class Answers:
    """Answers questions: as given, by asking a person, or by the default."""

    def __init__(self, given: Mapping[str, str], prompt: Prompt | None) -> None:
        self._given, self._prompt = dict(given), prompt
        self._asked: dict[str, tuple[Question, str | None]] = {}

    def __call__(self, question: Question) -> str | None:
        """Return the answer; None where there is none."""
        if question.key not in self._asked:
            self._asked[question.key] = (question, None)
            self._asked[question.key] = (question, self._answer(question))
        return self._asked[question.key][1]

    def _answer(self, question: Question) -> str | None:
        for key in (question.key, question.key.rpartition(".")[2]):
            if (answer := self._given.get(key)) is None:
                continue
            if question.choices and answer not in question.choices and not question.free:
                expected = ", ".join(map(repr, question.choices))
                raise UsageError(f"--answer {key}={answer}: expected one of {expected}.")
            return answer
        if self._prompt and (question.close or question.default is None):
            return self._prompt(question)
        return question.default

    @property
    def unanswered(self) -> tuple[str, ...]:
        """What is open, with the flags that would answer it."""
        return tuple(
            f"{question.text} --answer {question.key}={' or '.join(map(_value, question.choices[:5])) or 'VALUE'}"
            for question, answer in self._asked.values()
            if answer is None
        )

    def require_used(self) -> None:
        """Refuse answers to questions that did not come up."""
        keys = {key for one in self._asked for key in (one, one.rpartition(".")[2])}
        if unknown := sorted(set(self._given) - keys):
            raise UsageError(
                f"--answer {unknown[0]}=… answers no question about these files; the questions were "
                f"{', '.join(self._asked) or 'none'}."
            )


@dataclass
class StartedProject:
    """The churnrisk.toml that ``init`` writes, and all that is to be said about it.

    ``guess``, ``churn`` and ``exclude`` (features) are what it consists of, ``unanswered`` are questions without a
    safe default, ``refusal`` is why `check` refuses these settings, ``waiting`` says from when on a model will be
    possible if it is not yet.
    """

    path: Path
    guess: Guess
    churn: Definition
    exclude: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    violations: Sequence[Violation] = ()
    refusal: str = ""
    waiting: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether `check` accepts the settings and nothing is open."""
        return not self.open

    @property
    def open(self) -> list[str]:
        """What is to be answered or corrected first, in sentences."""
        errors = len(blocking(self.violations))
        named = f"`check` refuses these settings for {errors} reason{'s' * (errors > 1)}, named above."
        return [*self.unanswered, *filter(None, [self.refusal, named * bool(errors)])]

    @property
    def report(self) -> list[str]:
        """What was mapped, chosen, left and found, a line each."""
        guess, churn, lines = self.guess, self.churn, []
        for name, table in guess.tables.items():
            lines += [f"{name:14} {table.source}", *(f"{'':17}{text}" for text in table.notes)]
        lines += [f"chosen: {choice}" for choice in guess.choices]
        if churn.definition:
            lines += [
                f"chosen: churn: {churn.definition}: {churn.why}",
                *(f"chosen: {note}" for note in churn.notes),
            ]
        lines += [f"not used: {path}: {why}" for path, why in guess.left.items()]
        for one in self.violations:
            where = f"{one.table}{'.' + one.column if one.column else ''}"
            level = "error" if one.level == "error" else "note"
            lines.append(f"{level}: {where}: {one.rule} ({one.count:,} rows). {one.fix}")
        return lines

    @property
    def project(self) -> Project:
        """The project of these settings; an error if they are wrong."""
        return project_in(parse_settings(self.text.encode()), self.path.parent, data=self.path.parent)

    @property
    def text(self) -> str:
        """The text of churnrisk.toml."""
        guess, churn = self.guess, self.churn
        lines = [_HEAD, *_section("project", {"name": self.path.parent.resolve().name})]
        if open_ := [*self.unanswered, *filter(None, [self.refusal])]:
            lines = ["# Left open:", *(f"#   {' '.join(line.split())}" for line in open_), "", *lines]
        for name, table in guess.tables.items():
            settings = {key: value for key, value in table.settings.items() if key != "columns"}
            lines += ["", *(f"# {note}" for note in table.notes), *_section(f"tables.{name}", settings)]
            lines += [f"# {line}" for line in table.unanswered]
            if columns := table.settings.get("columns"):
                lines += _section(f"tables.{name}.columns", columns)
        if guess.left:
            left = (f"# not used: {name}: {' '.join(why.split())}" for name, why in guess.left.items())
            lines += ["", *left]
        if churn.definition:
            lines += ["", *(f"# {note}" for note in (churn.why, *churn.notes))]
            lines += _section("churn", {"definition": churn.definition, **churn.churn})
        if churn.definition not in (None, "labels"):
            every = {} if "every_months" in churn.snapshots else {"every_days": 30}
            lines += ["", *_section("snapshots", every | churn.snapshots)]
        examples = {"key_features": ["login"], "static": ["country"]}
        given = {"static": list(guess.static), "exclude": list(self.exclude)}
        given = {key: value for key, value in given.items() if value}
        spare = {key: value for key, value in examples.items() if key not in given}
        lines += ["", *_section("features", given), *(f"# {line}" for line in _section("", spare))]
        rules = {"rules_off": list(guess.rules_off)} if guess.rules_off else {}
        lines += ["", *_section("decision", {"policy": "certified", "capacity": 50, **rules})]
        lines += ["", *_section("model", churn.model)] if churn.model else []
        return "\n".join(lines) + "\n"


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
    ask = Answers(answers, prompt)
    progress("looking at the files")
    guess = guess_tables(folder, now=now, ask=ask, taken=frozenset(one.name for one in CATALOGUE))
    if not guess.tables and not guess.left:
        raise UsageError(
            f"{folder} holds no CSV, Parquet, JSON file or workbook. Put your tables there, or map them by url."
        )
    started = StartedProject(path, guess, Definition(None, ""))
    try:
        # once more where labels or the end of the data came to light
        while _argue(started, ask, now=now, progress=progress):
            pass
    except ChurnRiskError as error:
        started.refusal = str(error)
    started.refusal = started.refusal or ("" if started.churn.definition else started.churn.why)
    started.unanswered = ask.unanswered
    if started.unanswered and (not guess.tables or started.refusal == started.churn.why):
        started.refusal = ""  # the question says it
    ask.require_used()
    if not dry_run:
        write_whole(path, started.text.encode())
    return started


def _argue(started: StartedProject, ask: Answers, *, now: datetime, progress: Progress) -> bool:
    """Choose a definition on the tables as mapped and check it; True if the settings changed, and it is due again."""
    guess = started.guess
    with opened_tables(started.project, now=now, progress=progress) as (tables, violations, reach):
        if _take_ids(guess, blocking(violations), ask):
            return True
        if not started.churn.definition:
            progress("choosing a definition of churn")
            started.churn = _definition(tables, guess, ask)
            if guess.flag and started.churn.definition == "labels" and not tables.available.has("labels"):
                last = max((one.last for one in reach.values()), default=now.date())
                labels = guess.tables["labels"] = guess.flag[1]
                labels.settings["sql"] = labels.settings["sql"].replace(
                    "{as_of}", str(last + timedelta(days=1))
                )
                return True
        churn, project = started.churn, started.project
        started.violations = violations
        if blocking(violations):
            return _take_common_end(churn, violations, reach, ask, now=now)
        features = select_features(project.features, tables.available)  # refuses what training would
        require_prepared(tables, features)
        span = data_span(tables, project.snapshots, now=now, reach=reach)
        checked = CheckedTables(tables, violations, span)
        plan_dates(churn, span)
        if churn.definition:
            started.waiting = what_a_model_awaits(started.project, checked)
        for one in suspects_in(checked, project, progress) if guess.label else ():
            if one.left_out:
                started.exclude += (one.feature,)
                guess.choices.append(f"{one.feature} is left out: {one.why}")
    return False


def _definition(tables: Tables, guess: Guess, ask: Answers) -> Definition:
    unread = [name for name in guess.left if "subscription" in name.lower()]
    flag = guess.flag[0] if guess.flag else ""
    found = argue(tables, label=guess.label, flag=flag, unread=unread, ask=ask)
    if guess.data_until:
        monthly = {"every_months": 1} if guess.data_until.day == 1 else {}
        found.snapshots |= {**monthly, "data_until": guess.data_until}
    return found


def _take_ids(guess: Guess, errors: Sequence[Violation], ask: Answers) -> bool:
    """Take the form in which the ids of a table are those of accounts, as the check proposes it."""
    found = [(one, match) for one in errors if (match := _IDS.match(one.fix))]
    found = [(one, match) for one, match in found if "ids" not in guess.tables[one.table].settings]
    for one, match in found:
        text = f"{one.rule} ({'; '.join(one.examples)}): in which form are they the same?"
        answer = ask(Question(f"{one.table}.ids", text, (match[1], "exact"), match[1], close=True))
        for name in (one.table, *(["accounts"] if match[2] and answer != "exact" else [])):
            guess.tables[name].settings["ids"] = answer
        guess.tables[one.table].notes.append(f"in the form that ids names they are: {one.examples[0]}")
        guess.choices.append(f"{one.table}: {one.rule}: ids = {answer}")
    return bool(found)


def _take_common_end(
    churn: Definition,
    violations: Sequence[Violation],
    reach: Mapping[str, Reach],
    ask: Answers,
    *,
    now: datetime,
) -> bool:
    """Take the last date that all tables reach, where one of them ends early; False if that is not known."""
    dates = [
        date.fromisoformat(match[1])
        for one in blocking(violations)
        if (match := re.search(r"data_until = (\d{4}-\d{2}-\d{2})", one.fix))
    ]
    if not dates or "data_until" in churn.snapshots:
        return False
    latest = max((one.last for one in reach.values()), default=now.date())
    text = f"a table ends long before the others, which reach {latest}; up to which day are all complete?"
    # a list of long ago is not what anybody expects
    default = str(min(dates)) if latest - min(dates) <= _RECENT else None
    answer = ask(Question("data_until", text, (str(min(dates)),), default, free=True))
    if answer is None:
        return False
    churn.snapshots["data_until"] = date.fromisoformat(answer)
    churn.notes.append(f"not all tables reach the last day, so the data end before {answer}")
    return True


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


def _section(name: str, values: Mapping[str, object]) -> list[str]:
    """Return a section of TOML, with what its settings mean."""
    lines = [f"[{name}]"] if name else []
    if name.endswith(".columns"):
        lines = [f"{lines[0]:<28} # {_COMMENTS['columns']}"]
    commented = not name.startswith("tables.")
    for key, value in values.items():
        line = f"{key} = {_value(value)}"
        meant = _COMMENTS.get(str(value) if key == "definition" else key) if commented else None
        lines.append(f"{line:<28} # {meant}" if meant else line)
    return lines


def _value(value: Any) -> str:
    """Write a value as TOML."""
    if isinstance(value, str):
        if "\n" in value and "'''" not in value:
            return f"'''\n{value}\n'''"
        # SQL and names with quotes are readable as literal strings
        literal = '"' in value and "'" not in value
        return f"'{value}'" if literal else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
