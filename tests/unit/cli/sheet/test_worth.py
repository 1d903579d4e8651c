from __future__ import annotations

from cli_values import worth as figures
from homeward.cli.sheet import worth


def test_error_rates_are_counts_out_of_how_many() -> None:
    told = " ".join(worth.sentences("p/1", figures(), 9000))

    assert "about 1 in 4200 is listed by mistake (between 1 in 10000 and 1 in 2000)" in told
    assert "9\u202f000 appearances of people were compared" in told
    assert "about 2.2 (0.9 to 4.5) would still be listed, by mistake" in told
    assert (
        "Of 100 times that a person who is looked for passes a camera, about 4 are missed" in told
    )
    assert "counted over 500 appearances" in told


def test_a_count_that_is_next_to_none_is_said_once() -> None:
    told = " ".join(worth.sentences("p/1", figures(), 9))

    assert "fewer than 0.1 would still be listed" in told


def test_what_was_never_seen_has_an_upper_end() -> None:
    rates = figures()
    rates.expected_fpir.value = rates.expected_fpir.low = 0

    told = " ".join(worth.sentences("p/1", rates, 0))

    assert "none was listed when it was measured; up to 1 in 2000 may be" in told
    assert "compared" not in told


def test_the_score_is_said_to_be_no_chance() -> None:
    assert "not the chance that it is the same person" in worth.SCORE
