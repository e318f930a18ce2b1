"""Pages to sign in and out and to change one's own password; a form that a lost session left unsent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

from fastapi import APIRouter, Form, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from churnrisk.auth import SignInError, change_password, sign_in
from churnrisk.errors import UsageError
from churnrisk.records import User
from churnrisk.web.process import in_thread, now
from churnrisk.web.security.session import Viewer, flash, session_of
from churnrisk.web.security.signing import Signer, address_of, safe_path

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=1000)]
_UNSENT = "kept"
_UNSENT_SECONDS = 3600
_NEVER_STORED = ("csrf_token", _UNSENT)
_HIDDEN = ("back", "up", "kind", "version", "versions", "account")


@dataclass(frozen=True, slots=True)
class UnsentForm:
    """A form whose session had ended: its path and text fields, without passwords and tokens."""

    path: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def of_fields(cls, path: str, fields: FormData) -> Self | None:
        """Return the form to send later; None if it has no text fields."""
        texts = tuple(
            (name, value)
            for name, value in fields.multi_items()
            if isinstance(value, str) and name not in _NEVER_STORED and "password" not in name
        )
        return cls(path, texts) if texts else None

    @classmethod
    def unseal(cls, signer: Signer, text: str | None) -> Self | None:
        """Return what :meth:`seal` signed; None if it is forged or older than an hour."""
        found = signer.open(_UNSENT, text, seconds=_UNSENT_SECONDS)
        if found is None:
            return None
        path, fields = found
        return cls(safe_path(path), tuple((name, value) for name, value in fields))

    def seal(self, signer: Signer) -> str:
        """Return the form as signed text for a hidden field."""
        return signer.seal(_UNSENT, [self.path, list(self.fields)])

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """What the person typed or chose, with field names in words; failing that, what kind of change it was."""
        typed = tuple((name, value) for name, value in self.fields if value and name not in _HIDDEN)
        kinds = tuple(("change", value) for name, value in self.fields if value and name == "kind")
        return tuple((name.replace("_", " "), value) for name, value in typed or kinds)


@router.get("/sign-in")
def show_sign_in(request: Request, next: str = "/") -> Response:
    """Show the form, or go on if somebody is signed in already."""
    target = safe_path(next)
    if session_of(request).user is not None:
        return RedirectResponse(target, 303)
    return sign_in_page(request, target=target)


@router.post("/sign-in")
@in_thread
def post_sign_in(
    request: Request,
    name: Text = "",
    password: Text = "",
    next: Annotated[str, Form()] = "/",
    sealed: Annotated[str, Form(alias=_UNSENT)] = "",
) -> Response:
    """Start a session for the user of a name and password."""
    target = safe_path(next)
    session = session_of(request)
    security = session.security
    unsent = UnsentForm.unseal(security.signer, sealed)
    try:
        user = sign_in(security.store, name, password, address=address_of(request), now=now())
    except SignInError as error:
        return sign_in_page(request, target=target, status=401, error=error, name=name, unsent=unsent)
    session.start(user)
    if unsent is not None:
        return security.page(request, "security/again.html", {"unsent": unsent, "target": target})
    return RedirectResponse(target, 303)


@router.post("/sign-out")
@in_thread
def sign_out(request: Request, _user: Viewer) -> Response:
    """End the session; its forms that are still open elsewhere are dead from now on."""
    session_of(request).end()
    flash(request, "You are signed out.", kind="plain")
    return RedirectResponse("/sign-in", 303)


@router.get("/password")
def show_password(request: Request, user: Viewer) -> Response:
    """Show the form to change one's own password."""
    return _password_page(request, user)


@router.post("/password")
@in_thread
def post_password(
    request: Request,
    user: Viewer,
    present: Annotated[str, Form(alias="present_password", max_length=1000)] = "",
    new: Annotated[str, Form(alias="new_password", max_length=1000)] = "",
    again: Annotated[str, Form(alias="new_password_again", max_length=1000)] = "",
) -> Response:
    """Change one's own password: every session ends, and this one goes on under a new id."""
    session = session_of(request)
    try:
        # The current one is needed, so that nobody changes it on a screen left open.
        sign_in(session.security.store, user.name, present, address=address_of(request), now=now())
        if new != again:
            raise UsageError("the two new passwords differ. Type the same one twice.")
        change_password(session.security.store, user.name, new)
    except SignInError as error:
        return _password_page(request, user, str(error) if error.wait else "The present password is wrong.")
    except UsageError as error:
        return _password_page(request, user, str(error)[:1].upper() + str(error)[1:])
    session.start(user)
    flash(request, "Your password is changed. You are signed out everywhere else.")
    return RedirectResponse("/", 303)


def _password_page(request: Request, user: User, error: str = "") -> Response:
    page = session_of(request).security.page
    context = {"error": error, "name": user.name}
    return page(request, "security/password.html", context, status=422 if error else 200)


def sign_in_page(
    request: Request,
    *,
    target: str = "/",
    status: int = 200,
    error: SignInError | str = "",
    name: str = "",
    unsent: UnsentForm | None = None,
) -> Response:
    """Return the page to sign in; ``unsent`` is a form that can be sent afterwards."""
    security = session_of(request).security
    headers = {}
    if isinstance(error, SignInError) and error.wait is not None:
        status, headers = 429, {"retry-after": str(max(1, round(error.wait.total_seconds())))}
    context = {
        "target": target,
        "error": str(error),
        "name": name[:256],
        "unsent": unsent,
        "sealed": unsent.seal(security.signer) if unsent else "",
        "sso": security.config.oidc.label if security.config.oidc else "",
    }
    return security.page(request, "security/sign_in.html", context, status=status, headers=headers)
