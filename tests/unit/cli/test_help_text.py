"""Help is laid out so that what is to be typed can be read and copied."""

from __future__ import annotations

from homeward.cli.help_text import Formatter


def test_a_line_of_help_does_not_break_at_a_hyphen() -> None:
    formatter = Formatter(width=30)

    formatter.write_text("To take tokens back, `up --new-token-key`.")
    formatter.write_dl([("--role ROLE", "One of reviewer, subject-admin.")])

    told = formatter.getvalue()
    assert "--new-token-key" in told
    assert "subject-admin" in told
