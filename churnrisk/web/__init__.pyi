from .api.problems import RateLimiter, RequireToken
from .app import create_app
from .charts import (
    RANGE_WIDTH,
    Occasion,
    column_chart,
    history_chart,
    history_rows,
    nice_top,
    range_mark,
    rate_mark,
    shares,
)
from .dependencies import versions_of
from .pages.audit import entry_text
from .pages.lead import promise_view, team_view
from .pages.redlist import chunks, csv_file
from .process import one_line
from .rendering import environment, install_errors, page
from .security.middleware import HeadersMiddleware
from .security.session import Require, flash, require
from .security.signing import Signer, address_of, comes_from_here, load_secret, page_before, safe_path
from .server import Listener, check_ready, default_workers, run

__all__ = [
    "HeadersMiddleware", "Listener", "Occasion", "RANGE_WIDTH", "RateLimiter", "Require", "RequireToken",
    "Signer", "address_of", "check_ready", "chunks", "column_chart", "comes_from_here", "create_app",
    "csv_file", "default_workers", "entry_text", "environment", "flash", "history_chart", "history_rows",
    "install_errors", "load_secret", "nice_top", "one_line", "page", "page_before", "promise_view",
    "range_mark", "rate_mark", "require", "run", "safe_path", "shares", "team_view", "versions_of",
]  # fmt: skip
