"""Going through candidates: a picture, a key, a decision, and the next one."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from homeward.cli import errors, people, reviews, terminal, times
from homeward.cli.errors import CallError, CliError
from homeward.cli.review import card, keyboard
from homeward.cli.review.deciding import Decided, Desk
from homeward.cli.review.supply import Prepared, Supply
from homeward.cli.review.viewing import Elsewhere, Folder

_LINES_BESIDE = 4
"""Of the terminal, beside the picture and the card."""
_MOST_UNDONE = 20
_MOST_REASONS = 9

_HELP = (
    "c  confirm: it shows the person",
    "r  reject: it does not; asked for twice, as it is erased at once",
    "i  inconclusive: it cannot be told; another person may decide",
    "s  skip for now; others may be handed it",
    "u  undo your last decision",
    "w  write a reason for the next decision; 1 to 9 take one from the list",
    "p  the picture alone, as large as the terminal",
    "o  open the picture in a viewer, or write it to a file",
    "q  quit; Ctrl-C does the same. What was decided is recorded",
)


@dataclass(slots=True)
class Screen:
    """How candidates are shown."""

    elsewhere: Elsewhere
    """For pictures that the terminal does not draw."""
    draws: bool
    """Whether the terminal draws pictures."""
    reasons: Sequence[str] = ()
    folder: Folder = field(default_factory=Folder)

    def show(self, prepared: Prepared, position: str, reason: str) -> None:
        """Show a candidate with its picture."""
        columns, lines = shutil.get_terminal_size()
        told = prepared.card(columns, reason)
        rows = card.rows_left(told, columns=columns, lines=lines)
        terminal.tell_lines([card.rule(position, columns)])
        self._picture(prepared, rows)
        keyboard.forget_pressed()
        self.card(prepared, reason)

    def card(self, prepared: Prepared, reason: str) -> None:
        """Show what is known of a candidate, and the keys."""
        columns = shutil.get_terminal_size().columns
        terminal.tell_lines(prepared.card(columns, reason))
        terminal.tell_lines(card.keys(columns))

    def alone(self, prepared: Prepared) -> None:
        """Show a picture as large as the terminal."""
        self._picture(prepared, shutil.get_terminal_size().lines - _LINES_BESIDE)

    def open(self, prepared: Prepared, how: Elsewhere) -> None:
        """Show a picture outside of the terminal."""
        self.folder.show(prepared.sighting_id, prepared.file, how)

    def help(self) -> None:
        """Print what the keys do."""
        terminal.tell_lines(_HELP)
        terminal.tell_lines(
            f"{number}  {reason}" for number, reason in enumerate(self.reasons[:_MOST_REASONS], 1)
        )

    def _picture(self, prepared: Prepared, rows: int) -> None:
        if self.draws:
            terminal.draw(prepared.picture(rows))
        else:
            self.open(prepared, self.elsewhere)


@dataclass(frozen=True, slots=True)
class _Past:
    """Something that can be undone."""

    prepared: Prepared
    decided: Decided | None
    """None where it was skipped."""


class Walk:
    """A reviewer's way through candidates.

    Args:
        supply: Hands them out.
        desk: Sends decisions.
        screen: Shows them.
    """

    def __init__(self, supply: Supply, desk: Desk, screen: Screen) -> None:
        self.counts = Counter[str]()
        self.interrupted = False
        self._supply = supply
        self._desk = desk
        self._screen = screen
        self._past: list[_Past] = []
        self._shown: Prepared | None = None
        self._reason = ""
        self._ended = False
        self._noted = False
        self._keys: Mapping[str, Callable[[Prepared], bool]] = {
            "c": lambda shown: self._decide(shown, "confirm"),
            "r": self._reject,
            "i": lambda shown: self._decide(shown, "inconclusive"),
            "s": self._skip,
            "u": self._undo,
            "w": self._write_reason,
            "p": self._show_alone,
            "o": self._open,
            "?": self._help,
            "h": self._help,
            "q": self._quit,
        }

    def go(self) -> None:
        """Go through candidates until there is none left, or the reviewer leaves.

        Raises:
            CliError: Nothing can be had any more.
        """
        while not self._ended:
            prepared = self._supply.next(_Waiting())
            if prepared is None:
                self._at_the_end()
            else:
                self._judge(prepared)

    def _judge(self, prepared: Prepared) -> None:
        """Show a candidate and take keys, until it is done with."""
        self._shown = prepared
        self._reason = ""
        self._screen.show(prepared, self._position(), self._reason)
        while not self._ended:
            pressed = keyboard.key()
            if pressed.isdigit() and 0 < int(pressed) <= len(self._screen.reasons[:_MOST_REASONS]):
                self._reason = self._screen.reasons[int(pressed) - 1]
                terminal.tell(f"Reason: {self._reason}")
            elif (act := self._keys.get(pressed)) is not None and act(prepared):
                return

    def _decide(self, prepared: Prepared, decision: str) -> bool:
        self._supply.calm()
        try:
            decided = self._desk.send(prepared.sighting_id, decision, self._reason)
        except CallError as refusal:
            errors.tell(refusal)
            self._supply.is_done(prepared.sighting_id)
            self.counts["refused"] += 1
            return True
        except KeyboardInterrupt:
            terminal.tell(
                f"It is not known whether your decision on sighting {prepared.sighting_id} was"
                " recorded. Start again: if it was not, the candidate is shown again."
            )
            raise
        self._supply.is_done(prepared.sighting_id)
        self._remember(_Past(prepared, decided))
        self.counts[decision] += 1
        terminal.tell(f"Recorded. {reviews.outcome(decided.sighting, decision)}", bold=True)
        self._note_account(decided.review.reviewer)
        return True

    def _note_account(self, reviewer: str) -> None:
        """Say once that decisions are on record under a name that is nobody's."""
        if not self._noted and (note := people.record_note(reviewer)):
            self._noted = True
            terminal.tell(note)

    def _reject(self, prepared: Prepared) -> bool:
        pressed = _asked(
            "Reject? It is erased at once unless somebody has confirmed it, and that cannot be"
            " undone. Press r again; any other key goes back."
        )
        if pressed == "r":
            return self._decide(prepared, "reject")
        terminal.tell("Not rejected.")
        return False

    def _skip(self, prepared: Prepared) -> bool:
        self._supply.skip(prepared.sighting_id)
        self._remember(_Past(prepared, None))
        self.counts["skipped"] += 1
        terminal.tell("Skipped.")
        return True

    def _undo(self, prepared: Prepared | None) -> bool:
        """Undo what was done last; return whether another candidate is to be shown."""
        if not self._past:
            terminal.tell("Nothing to undo: you have decided nothing since you began.")
            return False
        last = self._past[-1]
        if last.decided is not None and last.decided.erased:
            self._past.pop()
            self._look_again(last.decided)
            return False
        if last.decided is not None:
            try:
                self._desk.withdraw(last.decided)
            except CallError as refusal:
                errors.tell(refusal)
                return False
        self._past.pop()
        self.counts[last.decided.decision if last.decided else "skipped"] -= 1
        terminal.tell("Taken back. Judge it again:")
        self._supply.put_first(last.prepared, *([prepared] if prepared else []))
        return True

    def _look_again(self, rejected: Decided) -> None:
        """Offer to search the stretch of a rejected sighting again."""
        sighting = rejected.sighting
        subject, begin = sighting.subject_id, times.shown(sighting.interval.start_time)
        terminal.tell(
            f"The rejection of sighting {sighting.sighting_id} cannot be taken back: it is erased."
            f" Its recording can be searched again there (camera {sighting.camera_id}, {begin});"
            " what that finds comes up here as a new candidate."
        )
        if _asked("Search it again? Press y; any other key leaves it rejected.") != "y":
            terminal.tell("Left as it is.")
            return
        try:
            scan = self._desk.search_again(sighting)
        except CallError as refusal:
            if refusal.reason in ("FOOTAGE_NOT_FOUND", "FOOTAGE_EXPIRED", "SCAN_SCOPE_EMPTY"):
                terminal.tell("Its recording has gone, so it cannot be searched again.")
                return
            errors.tell(refusal)
            terminal.tell(
                "Somebody who may search can do it: `homeward search --include-rejected --subject"
                f" {subject} --footage {sighting.footage_id}`"
            )
            return
        self._supply.find_again(sighting.sighting_id)
        terminal.tell(f"Search {scan.scan_id} is under way.")

    def _write_reason(self, _: Prepared) -> bool:
        self._reason = keyboard.line("Reason, for the next decision")[:1000]
        return False

    def _show_alone(self, prepared: Prepared) -> bool:
        self._screen.alone(prepared)
        _asked("Press any key to go back.")
        self._screen.card(prepared, self._reason)
        return False

    def _open(self, prepared: Prepared) -> bool:
        elsewhere = self._screen.elsewhere
        usual = Elsewhere.FILE if elsewhere is Elsewhere.NONE else elsewhere
        self._screen.open(prepared, usual)
        return False

    def _help(self, _: Prepared) -> bool:
        self._screen.help()
        return False

    def _quit(self, _: Prepared) -> bool:
        self._ended = True
        return True

    def _remember(self, past: _Past) -> None:
        self._past = [*self._past, past][-_MOST_UNDONE:]

    def _at_the_end(self) -> None:
        """Say why there is nothing more, and take a key for what to do about it."""
        left, skipped = self._supply.left, len(self._supply.skipped)
        told = []
        if left.held_by_others:
            told.append(f"{_candidates(left.held_by_others)} left, with other reviewers now.")
        if left.own_searches:
            told.append(
                f"{_candidates(left.own_searches)} left from searches that you asked for: somebody"
                " else must judge these."
            )
        if skipped:
            told.append(f"You have skipped {skipped}.")
        terminal.tell_lines(told or ["No candidates are left to review."])
        if not (left.held_by_others or skipped or self._past):
            self._ended = True
            return
        pressed = _asked(
            "a look again" + ", s the skipped ones" * bool(skipped) + ", u undo, q quit"
        )
        if pressed == "u":
            self._undo(None)
        elif pressed in ("a", "s"):
            self._supply.look_again(skipped=pressed == "s")
        elif pressed == "q":
            self._ended = True

    def _position(self) -> str:
        shown, left = self._shown, self._supply.left
        done = sum(self.counts[name] for name in reviews.DECISIONS)
        where = f"{shown.sighting.camera_id}" if shown else ""
        others = f", {left.held_by_others} with others" if left.held_by_others else ""
        return f"{where}: {done} done, {max(left.open, 1)} open{others}"


def summary(counts: Counter[str]) -> str:
    """Return what a reviewer has done, on one line."""
    told = [f"{counts[name]} {word}" for name, word in _WORDS.items() if counts[name]]
    return f"Recorded: {', '.join(told)}." if told else "Nothing was decided."


_WORDS = {
    "confirm": "confirmed",
    "reject": "rejected",
    "inconclusive": "inconclusive",
    "skipped": "skipped",
    "refused": "refused",
}


def _asked(question: str) -> str:
    """Ask something and return the key that is pressed then."""
    keyboard.forget_pressed()
    terminal.tell(question)
    return keyboard.key()


class _Waiting:
    """Says what is waited for, once as long as that stays the same."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, problem: CliError | None) -> None:
        problem_now = f"{problem.message}; trying again" if problem else "Reading the next one"
        if problem_now != self._told:
            self._told = problem_now
            terminal.tell(f"{problem_now} ...")


def _candidates(count: int) -> str:
    return "1 candidate is" if count == 1 else f"{count} candidates are"
