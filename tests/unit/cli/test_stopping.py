"""Commands that run until they are stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from homeward.cli import errors, stopping


@pytest.fixture(params=[signal.SIGHUP, signal.SIGTERM])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    before = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, before)


def test_the_end_of_a_connection_interrupts_as_a_key_does(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    with pytest.raises(KeyboardInterrupt), stopping.interrupted_by_signals():
        signal.raise_signal(number)

    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_so(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)

    with stopping.interrupted_by_signals():
        signal.raise_signal(number)

    assert signal.getsignal(number) is signal.SIG_IGN


def test_the_end_of_what_runs_until_it_is_stopped_is_no_error(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(errors.StoppedError) as caught, stopping.until_stopped(lambda: "Ended."):
        signal.raise_signal(number)

    assert errors.report(caught.value) == 130
    assert capsys.readouterr().err == "Ended.\n"
