"""The names that workflows, activities and their servers agree on; stored in histories."""

from __future__ import annotations

WORKFLOW = "towline.run"
"""The workflow of a run; its argument is the run's id."""
FETCH, COMPARE, APPLY, CANCEL = "fetch", "compare", "apply", "cancel"
"""The activities."""
