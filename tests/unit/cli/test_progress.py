"""Stopping long work: a signal sets the token, and the remote's end is then an interruption."""

import signal

import pytest

from towline.errors import Cancelled, RemoteUnavailable, StoreError
from towline.ports import Phase
from towline_cli import progress
from towline_cli.progress import watching


def work(*signals: signal.Signals, then: BaseException | None = None) -> None:
    """Work that is signalled, and then fails or goes on."""
    with watching() as watch:
        for number in signals:
            signal.raise_signal(number)
        if then is not None:
            raise then
        watch.report(Phase.FETCHING, 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_work_at_its_next_step(number: signal.Signals):
    before = signal.getsignal(number)
    with pytest.raises(Cancelled):
        work(number)
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored():
    """As in a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_fails_because_of_the_signal_is_an_interruption():
    with pytest.raises(Cancelled):
        work(signal.SIGINT, then=RemoteUnavailable(url="https://host/x", detail="git died"))


def test_a_store_that_fails_after_a_signal_is_heard():
    """It may say that the pull is committed; an interruption says that nothing was changed."""
    with pytest.raises(StoreError):
        work(signal.SIGINT, then=StoreError(project="p", problem="disk full"))


def test_a_second_signal_does_not_wait_for_the_next_step():
    with pytest.raises(KeyboardInterrupt):
        work(signal.SIGINT, signal.SIGINT)


def test_failures_without_a_signal_stay_what_they_are():
    with pytest.raises(RemoteUnavailable):
        work(then=RemoteUnavailable(url="https://host/x"))


def test_work_that_was_done_when_the_signal_came_is_done():
    with watching() as watch:
        watch.report(Phase.APPLYING, 1, 1)
        signal.raise_signal(signal.SIGINT)


def test_progress_is_shown_on_a_terminal_alone():
    with watching() as watch:
        assert watch.progress is None


def test_progress_is_shown_once_work_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with watching() as watch:
        watch.report(Phase.FETCHING, 1)
        assert capsys.readouterr().err == ""
        now[0] = 10.0
        for done in range(3):
            watch.report(Phase.COMPARING, done, 3)
    printed = capsys.readouterr()
    assert "Comparing" in printed.err
    assert printed.out == ""
