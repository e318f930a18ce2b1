"""Which file lists the accounts, and how the ids of other files lead to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from churnrisk.contract import ID_RULES, TABLES, normal_id
from churnrisk.sources.draft import Ask, Question, Way
from churnrisk.sources.engine import Engine
from churnrisk.sources.profile import ColumnProfile, FileProfile, Link, is_named

#: Words in file names that speak against a table of accounts, and of files about losses.
_NO_ACCOUNTS = (
    "plan price product charge payment invoice refund user contact person ticket event usage log session course "
    "order transaction"
)


BILLING = "charge payment invoice refund billing payout"
#: Other forms of ids are tried where a smaller share of them meets.
_MOST = 0.99


@dataclass(frozen=True)
class AccountFit:
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
        fits = [fit for file in self.files if (fit := self._account_fit(file))]
        chosen = self._choose_accounts(fits) if fits else self._choose_id()
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

    def _choose_accounts(self, fits: Sequence[AccountFit]) -> tuple[FileProfile, ColumnProfile] | None:
        """Return the file whose unique key most other files refer to, and that key."""
        ranked = sorted(fits, key=lambda fit: -fit.score)
        best = ranked[0]
        close = [fit for fit in ranked[1:] if fit.score > best.score - 0.3 and fit.named_by]
        tied = any(fit.score > best.score - 0.05 for fit in close)
        shown = "; ".join(map(str, (best, *close)))
        answer = self.ask(
            Question(
                "accounts",
                f"which file lists the accounts, one row each? {shown}",
                tuple(fit.file.path for fit in ranked),
                None if tied else best.file.path,
                close=bool(close),
            )
        )
        if answer is None:
            return None
        chosen = next(fit for fit in ranked if fit.file.path == answer)
        self.left |= {
            fit.file.path: f"fits accounts less well than {chosen.file.path}: {fit.named_by} other files name its ids, "
            f"against {chosen.named_by}"
            for fit in ranked
            if fit is not chosen and fit.named_by
        }
        if len(self.files) > 1:
            self.choices.append(f"accounts are {chosen}")
        return chosen.file, chosen.key

    def _account_fit(self, file: FileProfile) -> AccountFit | None:
        """Return how well a file fits accounts, by the best of its keys; None if it has none that others name."""
        named = self._name_score(file)
        best: AccountFit | None = None
        for key in (one for one in file.columns.values() if one.may_be_id and self._is_key(file, one)):
            reach = [self._reach(other, file, key.name) for other in self.files if other is not file]
            names = named + 0.1 * bool(is_named(key, "account_id"))
            # of two that fit alike, the finer one
            score = sum(reach) + names + 0.02 * math.log10(key.distinct)
            fit = AccountFit(file, key, score, sum(one > 0.5 for one in reach))
            if best is None or fit.score > best.score:
                best = fit
        if best and (best.named_by or best.score > 0.5 or (len(self.files) == 1 and best.score >= 0)):
            return best
        return None

    def _is_key(self, file: FileProfile, column: ColumnProfile) -> bool:
        if "file_date" in file.reading:  # one row per account and period
            periods = f"count(*) = count(distinct ({column.value}, churnrisk_file))"
            return bool(self.engine.value(f"select {periods} from {file.relation}")) and bool(
                is_named(column, "account_id")
            )
        return file.is_unique(column.name, share=0.98) and column.filled == file.rows

    def _name_score(self, file: FileProfile) -> float:
        words = TABLES["accounts"].words.split()
        against = [word for name, spec in TABLES.items() if name != "accounts" for word in spec.words.split()]
        if any(word in file.words for word in words) and not named_like(file, BILLING + " user contact"):
            return 0.6
        return -0.6 if any(word in file.words for word in (*against, *_NO_ACCOUNTS.split())) else 0.0

    def _reach(self, file: FileProfile, key_file: FileProfile, key: str) -> float:
        """Return the share of a file's ids that lead to a key; over another file, as to a region, it counts half."""
        direct = [
            one.share
            for one in self.links
            if one.file is file and one.key_file is key_file and one.key == key
        ]
        over = [
            0.5 * one.share * two.share
            for one in self.links if one.file is file and one.key_file is not key_file
            for two in self.links if two.file is one.key_file and two.key_file is key_file and two.key == key
        ]  # fmt: skip
        return max([*direct, *over], default=0.0)

    def _choose_id(self) -> tuple[FileProfile, ColumnProfile] | None:
        """Return the column that names the account where no file lists them."""
        dated = [file for file in self.files if file.dates]
        named = [
            (rank, file, column)
            for file in dated
            for column in file.columns.values()
            if column.may_be_id and (rank := is_named(column, "account_id", most="orgid"))
        ]
        best = max(named, key=lambda one: (one[0], one[2].distinct), default=None)
        ids = [
            column.name for file in dated for column in file.columns.values()
            if column.may_be_id and 1 < column.distinct < 0.9 * column.filled
        ]  # fmt: skip
        answer = self.ask(
            Question(
                "account_id",
                "no file lists the accounts one row each; which column says whose row it is?",
                tuple(dict.fromkeys(ids)),
                best[2].name if best else None,
            )
        )
        if answer is None:
            return None
        holders = [(file, file.columns[answer]) for file in dated if answer in file.columns]
        if not holders:
            return None
        self.choices.append(f"no file lists the accounts one row each, so they are the ids in {answer}")
        return max(holders, key=lambda one: one[1].distinct)

    def way(self, file: FileProfile) -> Way | None:
        """Return the column whose values are ids of accounts, or the hops to one."""
        if file is self.file:
            return Way(self.key.name, 1.0)
        direct = self._direct(file)
        if direct and direct.share >= 0.5:
            return direct
        for link in sorted((one for one in self.links if one.file is file), key=lambda one: -one.share):
            if link.key_file is self.file:
                # a second key of the accounts, such as an external id
                return Way(link.column, link.share, (_hop(link, self.key.name),))
            onward = self._direct(link.key_file, but=link.key)
            if onward and onward.share >= 0.5:
                return Way(link.column, link.share * onward.share, (_hop(link, onward.column),))
            for second in (one for one in self.links if one.file is link.key_file and one.column != link.key):
                last = self._direct(second.key_file, but=second.key)
                if second.key_file not in (file, self.file) and last and last.share >= 0.5:
                    hops = (_hop(link, second.column), _hop(second, last.column))
                    return Way(link.column, link.share * second.share * last.share, hops)
        return direct

    def _direct(self, file: FileProfile, but: str = "") -> Way | None:
        """Return the column whose values are ids of accounts, as they are or in another form.

        A column that is named like an account's id leads to accounts even if its values do not: then the check refuses.
        """
        best: Way | None = None
        far = (self.key.high or 0) > 100 * self.key.distinct
        for column in file.columns.values():
            same = column.plain == self.key.plain and column.plain != "id"
            strong = same or bool(is_named(column, "account_id", most="clientnum"))
            named = column.plain == self.key.plain or bool(is_named(column, "account_id"))
            if column.name == but or not (column.may_be_id or (named and column.distinct == 1)):
                continue
            share = self._share(file, column)
            if column.kind != "text" and not (named or (far and share >= 0.9)):
                continue
            fits = share >= 0.5 or strong or (named and share > 0)
            if fits and (best is None or share + 0.1 * named > best.share):
                best = Way(column.name, share)
        return self._normal(file, best) if best and best.share < _MOST else best

    def _share(
        self, file: FileProfile, column: ColumnProfile, form: str = "", *, both: bool = False
    ) -> float:
        """Return the share of a column's different values that are ids of accounts, in a normal form if given."""
        value = normal_id(column.value, form) if form else column.value
        theirs = normal_id("v", form) if form and both else "v"
        met: int = self.engine.value(
            f"select count(*) from (select distinct {value} as v from {file.relation}) join "
            f"(select distinct {theirs} as v from account_ids) using (v)"
        )
        return min(1.0, met / column.distinct)

    def _normal(self, file: FileProfile, way: Way) -> Way:
        """Return the form of the ids in which most of them are those of accounts."""
        column = file.columns[way.column]
        best = way
        for both in (False, True):
            for form in ID_RULES:
                share = self._share(file, column, form, both=both)
                # a few ids more may meet by chance
                if share >= max(0.5, best.share + 0.02):
                    best = replace(way, share=share, ids=form, both=both)
        return best


def _hop(link: Link, account: str) -> dict[str, str]:
    return {"path": link.key_file.path, "key": link.key, "account": account}


def named_like(file: FileProfile, words: str) -> bool:
    """Say whether a file's name holds one of the words."""
    return any(word in file.words for word in words.split())
