"""Who may see the pages: people, their sessions, tokens of programs, attempts to sign in."""

from churnrisk.history.access.attempts import Limit, admit, forgive
from churnrisk.history.access.sessions import end_session, read_session, start_session
from churnrisk.history.access.tokens import (
    NewToken,
    Token,
    add_token,
    all_tokens,
    read_token,
    revoke_token,
)
from churnrisk.history.access.users import (
    NewUser,
    add_user,
    all_users,
    change_user,
    find_user,
    password_of,
    set_password,
    user_of_identity,
)

__all__ = [
    "NewUser",
    "add_user",
    "find_user",
    "all_users",
    "change_user",
    "password_of",
    "set_password",
    "user_of_identity",
    "start_session",
    "read_session",
    "end_session",
    "NewToken",
    "Token",
    "add_token",
    "all_tokens",
    "read_token",
    "revoke_token",
    "Limit",
    "admit",
    "forgive",
]
