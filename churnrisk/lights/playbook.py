"""Next steps: plays as data, chosen by colour, main reason, stage, renewal and signals; cooldowns."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.lights.rules import Condition, Mask, conditions_hold, parse_conditions
from churnrisk.records import Colour, Family

_DAY = pd.Timedelta(days=1)
STAGES = ("adopter", "loyalist", "advocate")
KINDS = ("retain", "nudge", "upsell", "referral")
_COLOURS = tuple(str(colour) for colour in Colour)
# Upsell and referral asks annoy everybody else (practice 000, 001).
_ONLY_FOR = {"upsell": "loyalist", "referral": "advocate"}
SILENCE = Condition("silent_30d", ">=", 1.0)


@dataclass(frozen=True)
class Play:
    """One play: what to do, over which channel, by which role, within how many days, after which practice (`source`).

    `colours`, `families` (of the main reason), `stages` and the half-open range `renewal_days` say which accounts it
    fits; an empty tuple or None places no condition. `when` compares signals with numbers, joined by "and", as a rule
    does; a missing value or signal meets none. An account gets the play again after `cooldown_days` at the earliest.
    Of the kinds an upsell fits green loyalists only, a referral green advocates only, a nudge the silent only.
    """

    name: str = ""
    action: str = ""
    channel: str = ""
    owner: str = ""
    deadline_days: int = 0
    source: str = ""
    colours: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    renewal_days: tuple[int, int] | None = None
    when: str = ""
    cooldown_days: int = 30
    kind: str = "retain"

    def __post_init__(self) -> None:
        for name in ("name", "action", "channel", "owner", "source"):
            if not str(getattr(self, name)).strip():
                raise UsageError(f"play '{self.name}': expected a text for {name}, found none. Fill it in.")
        for name in ("deadline_days", "cooldown_days"):
            if getattr(self, name) < 1:
                raise UsageError(f"play '{self.name}': expected {name} >= 1, found {getattr(self, name)}.")
        if not self.colours:
            raise UsageError(f"play '{self.name}': expected at least one colour, found none. Add colours.")
        for name, known in (("colours", _COLOURS), ("families", get_args(Family)), ("stages", STAGES)):
            _check_names(self.name, name, getattr(self, name), known)
        _check_names(self.name, "kind", (self.kind,), KINDS)
        if self.renewal_days is not None and not self.renewal_days[0] < self.renewal_days[1]:
            raise UsageError(
                f"play '{self.name}': expected renewal_days = [from, to), found {self.renewal_days}."
            )
        stage = _ONLY_FOR.get(self.kind)
        if stage and (self.colours, self.stages) != (("green",), (stage,)):
            raise UsageError(
                f"play '{self.name}': {self.kind} is for green {stage}s only, found colours {self.colours} "
                f'and stages {self.stages}. Set colours = ["green"] and stages = ["{stage}"].'
            )
        conditions = self.conditions  # unreadable ones must fail here
        if self.kind == "nudge" and SILENCE not in conditions:
            raise UsageError(
                f"play '{self.name}': a nudge is for silent accounts only, found when = {self.when!r}. "
                'Begin it with "silent_30d >= 1".'
            )

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The parsed comparisons of ``when``; all must hold."""
        return parse_conditions(self.when, owner=f"play '{self.name}'") if self.when else ()

    @property
    def sentence(self) -> str:
        """The next step as one sentence: action, owner, channel, deadline."""
        days = "1 day" if self.deadline_days == 1 else f"{self.deadline_days} days"
        return f"{self.action} ({self.owner}, {self.channel}, within {days})."

    def fits(self, rows: pd.DataFrame, X: pd.DataFrame) -> Mask:
        """Return which rows it fits; a missing value fits no condition. X holds the signals, row by row."""
        fits = conditions_hold(self.conditions, X) & rows["colour"].isin(self.colours).to_numpy(dtype=bool)
        for column, names in (("family", self.families), ("stage", self.stages)):
            if names:
                fits = fits & rows[column].isin(names).to_numpy(dtype=bool)
        if self.renewal_days is not None:
            days = pd.to_numeric(rows["days_to_renewal"], errors="coerce").to_numpy(
                dtype=float, na_value=np.nan
            )
            fits = fits & (days >= self.renewal_days[0]) & (days < self.renewal_days[1])
        return fits


@dataclass(frozen=True)
class Playbook:
    """Plays in order of precedence, the fallback by colour, and least days between actions by channel."""

    plays: tuple[Play, ...]
    fallback: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [play.name for play in self.plays]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(
                f"playbook: expected one play per name, found {twice} more than once. Rename one."
            )
        missing = [colour for colour in _COLOURS if not self.fallback.get(colour)]
        unknown = sorted(set(self.fallback) - set(_COLOURS))
        if missing or unknown:
            raise UsageError(
                f"playbook: [fallback] expects a sentence for each of {list(_COLOURS)}, "
                f"missing {missing}, unknown {unknown}."
            )
        # bool is an int, too
        wrong = {name: days for name, days in self.channels.items() if type(days) is not int or days < 0}
        if wrong:
            raise UsageError(f"playbook: [channels] expects whole days >= 0 for each channel, found {wrong}.")
        for play in self.plays if self.channels else ():
            _check_names(play.name, "channel", (play.channel,), tuple(self.channels))

    def require_features(self, known: Collection[str]) -> None:
        """Refuse a play whose ``when`` names a signal that does not exist."""
        for play in self.plays:
            for name in (one.feature for one in play.conditions if one.feature not in known):
                close = ", ".join(difflib.get_close_matches(name, known, n=3)) or "see `churnrisk features`"
                raise UsageError(
                    f"play '{play.name}': expected signals of this project in `when`, found {name!r}. "
                    f"Similar ones: {close}. Fix the play."
                )

    def choose(self, rows: pd.DataFrame, X: pd.DataFrame | None = None) -> pd.Series:
        """Return the name of the first fitting play per row; None where only the fallback fits."""
        if "colour" not in rows.columns:
            raise UsageError(
                f"next steps expect a column 'colour', found {list(rows.columns)}. Decide first."
            )
        optional = [name for name in ("family", "stage", "days_to_renewal") if name not in rows]
        complete = rows.assign(**dict.fromkeys(optional))
        chosen = np.full(len(rows), None, dtype=object)
        signals = pd.DataFrame(index=rows.index) if X is None else X
        for play in reversed(self.plays):
            chosen[play.fits(complete, signals)] = play.name
        return pd.Series(chosen, index=rows.index, name="play", dtype=object)

    def next_step(self, rows: pd.DataFrame, X: pd.DataFrame | None = None) -> pd.Series:
        """Return the next step of each account as one sentence.

        ``rows`` needs ``colour``; ``family`` (of the main reason), ``stage`` and ``days_to_renewal`` may be missing,
        as columns or as values. X holds the signals in the order of rows; without it no play with a ``when`` fits.
        """
        return self.sentences(self.choose(rows, X), rows["colour"])

    def sentences(self, plays: pd.Series, colours: pd.Series) -> pd.Series:
        """Return the sentence of each chosen play, the fallback of the colour where there is none."""
        known = {play.name: play.sentence for play in self.plays}
        steps = plays.map(known).astype(object)
        return steps.where(steps.notna(), colours.astype(object).map(dict(self.fallback))).rename("next_step")


def load_playbook(path: Path | str | None = None) -> Playbook:
    """Read a playbook; None reads the shipped one."""
    if path is None:
        return _shipped()
    try:
        return parse_playbook(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"playbook: expected a file at {path}, found none. Fix playbook under [decision]."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"playbook: {path} cannot be read ({error}). Save it as UTF-8 text.") from error


def parse_playbook(text: str) -> Playbook:
    """Return the playbook that a TOML text describes."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"playbook: expected TOML, found {error}. Fix that line.") from error
    _check_names("playbook", "sections", tuple(content), ("plays", "fallback", "channels"))
    plays = content.get("plays", [])
    if not isinstance(plays, list) or not all(isinstance(play, dict) for play in plays):
        raise UsageError(
            "playbook: expected plays as [[plays]] sections, found something else. Use [[plays]]."
        )
    return Playbook(
        tuple(_play(play) for play in plays), content.get("fallback", {}), content.get("channels", {})
    )


@cache
def _shipped() -> Playbook:
    return parse_playbook(files("churnrisk.lights").joinpath("playbook.toml").read_text(encoding="utf-8"))


def _play(raw: Mapping[str, Any]) -> Play:
    name = raw.get("name", "")
    _check_names(str(name), "settings", tuple(raw), tuple(known.name for known in fields(Play)))
    terms: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()
    }
    try:
        return Play(**terms)
    except (TypeError, IndexError) as error:
        raise UsageError(
            f"play '{name}': a value has the wrong type ({error}). Compare the shipped plays."
        ) from error


def _check_names(play: str, what: str, found: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [name for name in found if name not in known]
    if unknown:
        raise UsageError(f"play '{play}': expected {what} from {list(known)}, found {unknown}. Fix them.")


def may_go_out(
    candidates: pd.DataFrame,
    past: pd.DataFrame,
    *,
    now: datetime,
    cooldowns: Mapping[str, int],
    channels: Mapping[str, int],
    default_cooldown: int,
) -> Mask:
    """Return which candidates may be handed out now, shape (candidates,); the most urgent first.

    A candidate waits while its account got the same play within the play's cooldown, or any play on the same channel
    within the channel's days, before or after now: a clock that was set back cannot send twice. Of several candidates
    for one account and play, or account and limited channel, the first goes.

    ``candidates`` has ``account_id``, ``play`` and ``channel``, ``past`` has ``handed_out_at`` too. Cooldowns (by play)
    and channel limits are days; an unknown play takes ``default_cooldown``, an unknown channel has no limit.
    """
    age = (pd.to_datetime(past["handed_out_at"]) - pd.Timestamp(now)).abs()
    rests = past["play"].map(dict(cooldowns)).astype(float).fillna(default_cooldown) * _DAY
    limits = past["channel"].map(dict(channels)).astype(float).fillna(0) * _DAY
    waits = _among(candidates, past[(age < rests).to_numpy()], "play")
    waits |= _among(candidates, past[(age < limits).to_numpy()], "channel")
    free = candidates[~waits]
    limited = free["channel"].map(dict(channels)).astype(float) > 0
    repeated = free.duplicated(["account_id", "play"]) | (
        free.duplicated(["account_id", "channel"]) & limited
    )
    goes = ~waits
    goes[np.flatnonzero(goes)[repeated]] = False
    return goes


def _among(candidates: pd.DataFrame, resting: pd.DataFrame, column: str) -> Mask:
    """Return which candidates share account and ``column`` with a resting action."""
    keys = ["account_id", column]
    known = pd.MultiIndex.from_frame(resting[keys].astype(object))
    return np.asarray(pd.MultiIndex.from_frame(candidates[keys].astype(object)).isin(known), dtype=bool)
