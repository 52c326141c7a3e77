"""Server-sent events of a run, read without I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from .models import Run, RunSummary


@dataclass(slots=True)
class RunEvents:
    """Makes runs of the lines of a stream."""

    has_ended: bool = False
    """Whether the run's last event was there."""
    _event: str = ""
    _data: list[str] = field(default_factory=list)

    def take(self, line: str) -> Run | RunSummary | None:
        """Take a line, and return the run if it ends an event."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self._event = value
            elif name == "data":
                self._data.append(value)
            return None
        event, data = self._event, "\n".join(self._data)
        self._event, self._data = "", []
        if event == "ended":
            self.has_ended = True
            return Run.model_validate_json(data)
        return RunSummary.model_validate_json(data) if event == "progress" else None
