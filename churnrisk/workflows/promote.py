"""Promote a candidate to champion by a paired comparison on the same test block, and roll back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from churnrisk.errors import GuardError, NoChampionError
from churnrisk.records import Interval
from churnrisk.tracking import CANDIDATE, CHAMPION, LoadedModel, ModelVersionInfo
from churnrisk.workflows.compare import FIRST, compare, learned_until
from churnrisk.workflows.panel import Progress
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import tracking_of
from churnrisk.workflows.training_record import COMPARED_WITH


@dataclass(frozen=True)
class Promotion:
    """What was decided and why."""

    version: ModelVersionInfo
    replaced: int | None
    why: str


@dataclass(frozen=True)
class PromotionEvidence:
    """The paired account-level bootstrap behind a promotion: log loss, candidate minus champion."""

    measured_at: Literal["training", "promotion"]
    log_loss: Interval
    rows: int
    accounts: int
    n_boot: int


def promote(
    project: Project,
    *,
    version: str | None,
    author: str,
    force: bool,
    dry_run: bool,
    now: datetime,
    progress: Progress,
) -> Promotion:
    """Make a version (default: the candidate) the champion, unless it is clearly worse than today's.

    The evidence is a paired account-level bootstrap of log loss: that of the training if it was measured beside
    today's champion, else a new one on rows that neither has learned from. It is stored with the decision.
    """
    tracking = tracking_of(project)
    progress("reading the registry")
    versions = {item.version: item for item in tracking.versions()}
    current = next((item.version for item in versions.values() if CHAMPION in item.aliases), None)
    candidate = tracking.load(version or CANDIDATE)
    if current == candidate.version:
        return Promotion(versions[current], None, "it is the champion already")
    evidence = None if current is None else _evidence(project, candidate, current, now=now, progress=progress)
    why = _verdict(evidence, has_champion=current is not None)
    if evidence is not None and evidence.log_loss.low > 0 and not force:
        low, high = evidence.log_loss.low, evidence.log_loss.high
        raise GuardError(
            f"version {candidate.version} is worse than the champion, version {current}: its log loss is higher by "
            f"{evidence.log_loss.value:.4f} ({low:.4f} to {high:.4f}). The champion stays. "
            "Use --force to promote it anyway."
        )
    decision = {
        "author": author,
        "at": now.isoformat(timespec="seconds"),
        "why": why,
        "forced": force,
        "champion": current,
        "evidence": None if evidence is None else asdict(evidence),
    }
    if dry_run:
        return Promotion(versions[candidate.version], current, why)
    return Promotion(tracking.promote(candidate.version, decision=decision), current, why)


def rollback(project: Project, *, author: str, reason: str, now: datetime) -> ModelVersionInfo:
    """Return to the previous champion."""
    return tracking_of(project).rollback(
        reason={"author": author, "at": now.isoformat(timespec="seconds"), "reason": reason}
    )


def models(project: Project) -> list[ModelVersionInfo]:
    """Return all versions, newest first; a NoChampionError before the first training."""
    found = tracking_of(project).versions()
    if not found:
        raise NoChampionError("no model has been trained yet. Run `churnrisk train`.")
    return found


def _evidence(
    project: Project, candidate: LoadedModel, champion: int, *, now: datetime, progress: Progress
) -> PromotionEvidence | None:
    """Return the difference to today's champion; None if both cannot be measured on the same rows."""
    stored = candidate.documents.get("evaluation.json", {})
    compared = candidate.tags.get(COMPARED_WITH) == str(champion) and CHAMPION in stored.get(
        "differences", {}
    )
    if compared and _is_unseen(project, candidate.version, champion):
        difference = Interval(**stored["differences"][CHAMPION]["log_loss"])
        return PromotionEvidence("training", difference, stored["rows"], stored["accounts"], stored["n_boot"])
    progress(f"measuring beside version {champion}")
    found = compare(project, str(champion), str(candidate.version), now=now, progress=progress).evaluation
    if found is None:
        return None
    difference = found.differences[FIRST]["log_loss"]
    return PromotionEvidence("promotion", difference, found.rows, found.accounts, found.n_boot)


def _is_unseen(project: Project, candidate: int | str, champion: int | str) -> bool:
    """Say whether the champion learned from none of the rows that the candidate's training measured both on."""
    tracking = tracking_of(project)
    new, old = (tracking.details(str(version)) for version in (candidate, champion))
    if project.model.split == "accounts":
        digests = {one.info.tags.get("data_digest") for one in (new, old)}
        return len(digests) == 1 and new.params.get("seed") == old.params.get("seed")
    tested = [item.first_as_of for item in new.datasets if item.block == "test"]
    return bool(tested) and learned_until(old) + project.churn.outcome_delay <= min(tested)


def _verdict(evidence: PromotionEvidence | None, *, has_champion: bool) -> str:
    if not has_champion:
        return "the first champion"
    if evidence is None:
        return "not compared: no rows that both can read and neither has learned from"
    difference = evidence.log_loss
    words = "better" if difference.high < 0 else "worse" if difference.low > 0 else "no worse"
    return (
        f"{words} than the champion on the same {evidence.rows:,} rows: log loss {difference.value:+.4f} "
        f"({difference.low:+.4f} to {difference.high:+.4f})"
    )
