"""Frozen records that cross layers."""

from churnrisk.records.desk import AuditEntry, DeskState, Disposition
from churnrisk.records.evidence import ColourEvidence, Interval
from churnrisk.records.light import Colour, DecidedBy
from churnrisk.records.moves import ChangedSignal, Move, MovePart, Turnaround
from churnrisk.records.people import Role, User
from churnrisk.records.reasons import Reason
from churnrisk.records.redlist import AtRisk, RedList, RedListRow, Total
from churnrisk.records.runs import Run
from churnrisk.records.signals import Family, Feature, Violation

__all__ = [
    "AtRisk",
    "AuditEntry",
    "ChangedSignal",
    "Colour",
    "ColourEvidence",
    "DecidedBy",
    "DeskState",
    "Disposition",
    "Family",
    "Feature",
    "Interval",
    "Move",
    "MovePart",
    "Reason",
    "RedList",
    "RedListRow",
    "Role",
    "Run",
    "Total",
    "Turnaround",
    "User",
    "Violation",
]
