"""Which file lists the accounts, and how the ids of other files lead to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from churnrisk.contract import TABLES
from churnrisk.sources.engine import Engine
from churnrisk.sources.profile import NAMES, ColumnProfile, FileProfile, Link


@dataclass(frozen=True)
class Question:
    """A question to the user; ``default`` is None where no answer is safe, ``close`` marks two close fits.

    The answer need not be one of the ``choices`` if it is ``free``.
    """

    key: str
    text: str
    choices: tuple[str, ...] = ()
    default: str | None = None
    close: bool = False
    free: bool = False


Ask = Callable[[Question], str | None]


@dataclass(frozen=True)
class Way:
    """How the rows of a file lead to accounts: its column, the share of its ids that arrive, and tables in between.

    ``hops`` hold path, key and account of each, as ``via`` does in churnrisk.toml.
    """

    column: str
    share: float
    hops: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class _Fit:
    """A file that may list the accounts: its key, how well it fits, and how many other files name the key."""

    file: FileProfile
    key: ColumnProfile
    score: float
    named_by: int

    def __str__(self) -> str:
        others = f"{self.named_by} other file{'s' if self.named_by != 1 else ''}"
        return f"{self.file.path} ({self.file.rows:,} rows; {others} name its {self.key.name})"


class AccountIds:
    """Finds the accounts among files; ``choices`` and ``left`` say what was decided and what lost."""

    def __init__(self, engine: Engine, files: Sequence[FileProfile], links: Sequence[Link], ask: Ask) -> None:
        self.engine, self.files, self.links, self.ask = engine, files, links, ask
        self.choices: list[str] = []
        self.left: dict[str, str] = {}

    def choose(self) -> bool:
        """Choose the accounts; False if only the user knows."""
        fits = [fit for file in self.files if (fit := self._fit(file))]
        chosen = self._choose_file(fits) if fits else self._choose_id()
        if chosen:
            self.use(*chosen)
        return chosen is not None

    def use(self, file: FileProfile, key: ColumnProfile) -> None:
        """Take the accounts from a file."""
        self.file, self.key = file, key
        self.engine.create("account_ids", f"select distinct {key.value} as v from {file.relation}")

    @property
    def listed(self) -> bool:
        """Whether the file has one row per account."""
        return self.file.is_unique(self.key.name, share=0.98)

    def _choose_file(self, fits: Iterable[_Fit]) -> tuple[FileProfile, ColumnProfile] | None:
        """Return the file whose unique key most other files refer to, and that key."""
        ranked = sorted(fits, key=lambda fit: -fit.score)
        best = ranked[0]
        close = [fit for fit in ranked[1:] if fit.score > best.score - 0.3 and fit.named_by]
        tied = any(fit.score > best.score - 0.05 for fit in close)
        text = f"which file lists the accounts, one row each? {'; '.join(map(str, (best, *close)))}"
        paths, default = tuple(fit.file.path for fit in ranked), None if tied else best.file.path
        answer = self.ask(Question("accounts", text, paths, default, close=bool(close)))
        chosen = next((fit for fit in ranked if fit.file.path == answer), None)
        if chosen is None:
            return None
        self.left |= {
            fit.file.path: f"fits accounts less well than {chosen.file.path}: {fit.named_by} other files name its ids, "
            f"against {chosen.named_by}"
            for fit in ranked
            if fit is not chosen and fit.named_by
        }
        if len(self.files) > 1:
            self.choices.append(f"accounts are {chosen}")
        return chosen.file, chosen.key

    def _fit(self, file: FileProfile) -> _Fit | None:
        """Return how well a file fits accounts, by the best of its keys; None if it has none that others name."""
        fits = []
        for key in (one for one in file.columns.values() if one.may_be_id and self._is_key(file, one)):
            reach = [self._reach(other, file, key.name) for other in self.files if other is not file]
            names = self._name_score(file) + 0.1 * bool(key.is_named("account_id"))
            # of two that fit alike, the finer one
            score = sum(reach) + names + 0.02 * math.log10(key.distinct)
            fits.append(_Fit(file, key, score, sum(one > 0.5 for one in reach)))
        best = max(fits, key=lambda fit: fit.score, default=None)
        least = 0 if len(self.files) == 1 else 0.5
        return best if best and (best.named_by or best.score > least) else None

    def _is_key(self, file: FileProfile, column: ColumnProfile) -> bool:
        if "file_date" in file.reading:  # one row per account and period
            periods = f"count(*) = count(distinct ({column.value}, churnrisk_file))"
            named = bool(column.is_named("account_id"))
            return named and bool(self.engine.value(f"select {periods} from {file.relation}"))
        return file.is_unique(column.name, share=0.98)

    def _name_score(self, file: FileProfile) -> float:
        others = [spec.words for name, spec in TABLES.items() if name != "accounts"]
        names = NAMES["files"]
        if file.is_named(TABLES["accounts"].words) and not file.is_named(f"{names['billing']} user contact"):
            return 0.6
        return -0.6 if file.is_named(" ".join([names["billing"], names["no_accounts"], *others])) else 0.0

    def _reach(self, file: FileProfile, key_file: FileProfile, key: str) -> float:
        """Return the share of a file's ids that lead to a key; over another file, as to a region, it counts half."""
        own = [one for one in self.links if one.file is file]
        ends = [one for one in self.links if one.key_file is key_file and one.key == key]
        direct = [one.share for one in own if one in ends]
        over = [0.5 * one.share * two.share for one in own for two in ends if two.file is one.key_file]
        return max([*direct, *over], default=0.0)

    def _choose_id(self) -> tuple[FileProfile, ColumnProfile] | None:
        """Return the column that names the account where no file lists them."""
        columns = [
            (file, column)
            for file in self.files if file.dates for column in file.columns.values() if column.may_be_id
        ]  # fmt: skip
        named = [
            (rank, column.distinct, column.name)
            for _, column in columns
            if (rank := column.is_named("account_id", most="orgid"))
        ]
        ids = dict.fromkeys(column.name for _, column in columns if column.distinct < 0.9 * column.filled)
        text = "no file lists the accounts one row each; which column says whose row it is?"
        answer = self.ask(Question("account_id", text, tuple(ids), max(named)[2] if named else None))
        if answer is None:
            return None
        holders = [
            (file, file.columns[answer]) for file in self.files if file.dates and answer in file.columns
        ]
        if not holders:
            return None
        self.choices.append(f"no file lists the accounts one row each, so they are the ids in {answer}")
        return max(holders, key=lambda one: one[1].distinct)

    def way(self, file: FileProfile, *, but: str = "", hops: int = 2) -> Way | None:
        """Return the column whose values are ids of accounts, or the hops to one; not over the column ``but``."""
        if file is self.file and (not but or but != self.key.name):
            return Way(self.key.name, 1.0)
        direct = self._direct(file, but)
        if hops == 0 or (direct and direct.share >= 0.5):
            return direct
        own = [link for link in self.links if link.file is file and link.column != but]
        for link in sorted(own, key=lambda one: -one.share):
            onward = self.way(link.key_file, but=link.key, hops=hops - 1)
            if onward and onward.share >= 0.5:
                hop = {"path": link.key_file.path, "key": link.key, "account": onward.column}
                hop |= {name: value for name, value in link.key_file.reading.items() if name == "encoding"}
                return Way(link.column, link.share * onward.share, (hop, *onward.hops))
        return direct

    def _direct(self, file: FileProfile, but: str) -> Way | None:
        """Return the column whose values are ids of accounts.

        One that is named like an account's id leads to accounts even if its values do not: the check finds their form.
        """
        best: Way | None = None
        far = (self.key.high or 0) > 100 * self.key.distinct
        for column in (one for one in file.columns.values() if one.name != but):
            same = column.plain == self.key.plain
            strong = (same and column.plain != "id") or bool(column.is_named("account_id", most="clientnum"))
            named = same or bool(column.is_named("account_id"))
            if not (column.may_be_id or (named and column.distinct == 1)):
                continue
            share = self._share(file, column)
            if column.kind != "text" and not (named or (far and share >= 0.9)):
                continue
            fits = share >= 0.5 or strong or (named and share > 0)
            if fits and (best is None or share + 0.1 * named > best.share):
                best = Way(column.name, share)
        return best

    def _share(self, file: FileProfile, column: ColumnProfile) -> float:
        """Return the share of a column's different values that are ids of accounts."""
        met: int = self.engine.value(
            f"select count(*) from (select distinct {column.value} as v from {file.relation}) "
            "join account_ids using (v)"
        )
        return met / column.distinct
