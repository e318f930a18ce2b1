import pytest

from churnrisk.web import one_line


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("/accounts/Müller & Söhne", "/accounts/Müller & Söhne"),
        ("/a\r\nERROR all is lost", "/a\\r\\nERROR all is lost"),
        ("\x1b[2J\u2028\x85", "\\x1b[2J\\u2028\\x85"),
    ],
)
def test_nobody_else_writes_lines_of_the_log(given, written):
    assert one_line(given) == written
