"""The pages on a history in PostgreSQL, once through: sign in, filter, review, undo."""

import re
import shutil

import pytest
from playwright.sync_api import expect

from churnrisk.cli.app import app
from churnrisk.records import Role
from tests.store.postgres import drop_schema, new_schema, server
from tests.web.conftest import add_people, serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(scored_world, tmp_path_factory):
    """The small world again, scored into a server's database."""
    project = tmp_path_factory.mktemp("postgres") / "project"
    shutil.copytree(scored_world, project)
    (project / "history.db").unlink()
    with server() as base, pytest.MonkeyPatch.context() as environment:
        url = new_schema(base)
        environment.setenv("CHURNRISK_HISTORY_URL", url)
        for more in (("--as-of", "2026-06-01"), ()):
            app(["--project", str(project), "score", *more], standalone_mode=False)
        add_people(project, {"rex": Role.REVIEWER})
        with serving(project) as running:
            yield running
        assert not (project / "history.db").exists()
        drop_schema(base, url)


def test_a_person_signs_in_filters_reviews_and_undoes(signed_in):
    page = signed_in("rex")
    page.get_by_label("Main reason").select_option(index=1)
    expect(page).to_have_url(re.compile("reason="))
    page.goto("/")
    page.locator("[data-open]").first.click()
    page.get_by_label("Contacted", exact=True).check()
    page.get_by_role("textbox", name="Note").first.fill("Call on Friday.")
    page.get_by_role("button", name="Save", exact=True).click()
    reviews = page.get_by_role("region", name="Reviews")
    expect(reviews).to_contain_text("Call on Friday.")
    page.get_by_role("button", name="Undo").click()
    expect(reviews).to_contain_text("taken back")
    page.goto("/monday")
    expect(page.get_by_role("heading", name="Who has how much on the desk")).to_be_visible()
