from __future__ import annotations

import pytest

from homeward.cli.errors import CliError, ExitCode
from homeward.cli.options import confirm


def test_yes_answers_before_the_question() -> None:
    confirm("Remove it?", yes=True)


def test_what_nobody_confirms_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    with pytest.raises(CliError, match="nothing was changed") as caught:
        confirm("Remove it?", yes=False)
    assert caught.value.exit_code is ExitCode.INTERRUPTED
