from .account import (
    AccountView,
    FieldChange,
    FullAccount,
    Outlook,
    PastScore,
    account_view,
    view_account,
)
from .actions import Action, ActionFilter, hand_out_actions
from .lead import RunAtRisk, TeamWeek, monday
from .missed import MISSED, SEEN, UNSCORED, LostAccount, MissedChurners, ScoreBefore, missed_churners
from .redlist import export, read_red_list, red_list, write_report
from .reviews import (
    END,
    OPEN,
    Change,
    ConflictError,
    Reviewed,
    ReviewedOverride,
    finish_override,
    judge_reviews,
    list_overrides,
    make_override,
    review,
    review_overrides,
    trail,
    undo,
)
from .timeline import Timeline, timeline

__all__ = [
    "AccountView", "Action", "ActionFilter", "Change", "ConflictError", "END", "FieldChange", "FullAccount",
    "LostAccount", "MISSED", "MissedChurners", "OPEN", "Outlook", "PastScore", "Reviewed", "ReviewedOverride",
    "RunAtRisk", "SEEN", "ScoreBefore", "TeamWeek", "Timeline", "UNSCORED", "account_view", "export",
    "finish_override", "hand_out_actions", "judge_reviews", "list_overrides", "make_override",
    "missed_churners", "monday", "read_red_list", "red_list", "review", "review_overrides",
    "timeline", "trail", "undo", "view_account", "write_report",
]  # fmt: skip
