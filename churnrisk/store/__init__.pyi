from .account_state import (
    FIELDS,
    AllSaved,
    OpenWork,
    Saved,
    is_within,
    no_account,
    open_work,
    read_actions,
    read_changes,
    read_history,
    read_outlook,
    read_overrides,
    read_saved,
    read_states,
    require_accounts,
    reviews_with,
    trail,
)
from .actions import (
    ColourOutcome,
    Withdrawal,
    add_withdrawals,
    hand_out,
    light_notes,
    read_candidates,
    read_outcomes,
    read_withdrawals,
    write_outcomes,
)
from .database import Transaction, WriteLock, alembic_config, is_current, schema_versions
from .redlist import (
    BuiltQuery,
    WorkQueue,
    build_query,
    count_hidden,
    read_page,
    read_queue,
    read_row,
    stream_rows,
    within,
)
from .reviews import (
    ConflictError,
    NewOverride,
    OverrideChange,
    Reviewed,
    active_overrides,
    add_review,
    all_overrides,
    end_override,
    stored,
    undo,
    with_overrides,
)
from .runs import Guard, HistoryStore, NewRun, check_colour_jump
from .schema import (
    audit,
    metadata,
    run_totals,
    sessions,
    sign_in_attempts,
    tokens,
    users,
)
from .scores import (
    contributions_texts,
    naive_utc,
    read_move,
    read_reasons,
    read_what_if,
    to_table,
    with_texts,
)
from .totals import RENEWAL_WINDOW_DAYS, Sums, owners_of, read_by_owner, read_totals, total, write_totals

__all__ = [
    "AllSaved", "BuiltQuery", "ColourOutcome", "ConflictError", "FIELDS", "Guard", "HistoryStore",
    "NewOverride", "NewRun", "OpenWork", "OverrideChange", "RENEWAL_WINDOW_DAYS", "Reviewed", "Saved", "Sums",
    "Transaction", "Withdrawal", "WorkQueue", "WriteLock", "active_overrides", "add_review",
    "add_withdrawals", "alembic_config", "all_overrides", "audit", "build_query", "check_colour_jump",
    "contributions_texts", "count_hidden", "end_override", "hand_out", "is_current", "is_within",
    "light_notes", "metadata", "naive_utc", "no_account", "open_work", "owners_of", "read_actions",
    "read_by_owner", "read_candidates", "read_changes", "read_history", "read_move", "read_outcomes",
    "read_outlook", "read_overrides", "read_page", "read_queue", "read_reasons", "read_row", "read_saved",
    "read_states", "read_totals", "read_what_if", "read_withdrawals", "require_accounts", "reviews_with", "run_totals",
    "schema_versions", "sessions", "sign_in_attempts", "stored", "stream_rows", "to_table", "tokens", "total",
    "trail", "undo", "users", "with_overrides", "with_texts", "within", "write_outcomes", "write_totals",
]  # fmt: skip
