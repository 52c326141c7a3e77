"""Tables of reports, status, the log and conflicts on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .cells import Cell, cell, fits, list_room, print_cut, print_lines, print_table
from .output import LISTS, describe, pluralize, short

if TYPE_CHECKING:
    from towline.conflicts import Conflict, Party
    from towline.model import AssetState
    from towline.plan import Item
    from towline.ports import LoggedPull
    from towline.remotes.objects import Commit
    from towline.report import Report
    from towline.status import AssetStatus

STYLES = {
    "overwritten": "magenta",
    "updated": "yellow",
    "created": "green",
    "deleted": "red",
    "ignored": "dim",
    "conflict": "bold red",
    "modified-here": "cyan",
    "deleted-here": "cyan",
    "local-only": "dim",
    "modified-there": "yellow",
    "added-there": "green",
    "deleted-there": "red",
    "behind": "yellow",
}


def asset_row(state: str, *texts: object, style: str | None = None) -> list[Cell]:
    """Return the row of an asset; the last text is its id."""
    *others, asset_id = texts
    first = cell(state, STYLES.get(state, "") if style is None else style)
    return [first, *map(cell, others), cell(asset_id, "dim")]


def print_report(report: Report, *, everything: bool) -> None:
    """Print the conflicts, then the five lists, cut to a screenful unless ``everything``."""
    if report.conflicts:
        print_conflicts(report.conflicts)
    items = [(name, item) for name in LISTS for item in getattr(report, name)]
    left = 0
    if not everything:
        room = list_room()
        items, left = items[:room], len(items[room:])
    if items:
        _print_assets(
            "",
            [
                (name, item.path, item.kind, _remarks(item), item.asset_id or "")
                for name, item in items
            ],
        )
    if left:
        lister = "--verbose" if report.pull is None else f"towline log {report.pull}"
        print_lines([cell(f"and {left} more; {lister} lists all")])


def _print_assets(first: str, assets: Sequence[tuple[str, str, str, Sequence[str], str]]) -> None:
    """Print the state, path, kind, remarks and id of each asset."""
    print_table(
        [first, "path", "kind", "", "id"],
        [
            asset_row(state, path, kind, ", ".join(remarks), asset_id)
            for state, path, kind, remarks, asset_id in assets
        ],
        (
            asset_row(state, path, kind, *remarks, asset_id)
            for state, path, kind, remarks, asset_id in assets
        ),
    )


def print_conflicts(conflicts: Sequence[Conflict]) -> None:
    """Print each party of each conflict, with both sides."""
    rows = [
        asset_row(
            conflict.kind,
            party.path,
            party.kind,
            f"here {_side(party, party.states.ours)}",
            f"there {_side(party, party.states.theirs)}",
            party.asset_id,
            style=STYLES["conflict"],
        )
        for conflict in conflicts
        for party in conflict.parties
    ]
    print_table(["conflict", "path", "kind", "", "", "id"], rows)
    blockers = sorted({path for conflict in conflicts for path in conflict.blockers})
    print_lines(cell(f"in the way: {path}") for path in blockers)


def _side(party: Party, state: AssetState | None) -> str:
    if state is None:
        return "absent" if party.states.base is None else "deleted"
    digest = short(state.digest)
    return digest if state.path == party.path else f"{digest} {state.path}"


def _remarks(item: Item) -> list[str]:
    remarks = []
    if item.renamed_from is not None:
        remarks.append(f"renamed from {item.renamed_from}")
    if item.merged:
        by = f", by {item.merged_by}" if item.merged_by is not None else ""
        remarks.append(f"merged with local edits{by}")
    if item.resolved:
        remarks.append("by a saved resolution")
    if item.discarded:
        remarks.append("local edits discarded")
    if item.reason is not None:
        from towline.report import reason_message

        remarks.append(reason_message(item.reason, item.path))
    return remarks


def print_commits(commits: Sequence[Commit]) -> None:
    """Print the id and the subject of each commit, at most a screenful."""
    room = list_room()
    print_cut(f"  {short(commit.id)} {commit.subject}" for commit in commits[:room])
    if left := len(commits[room:]):
        print_lines([cell(f"  and {left} more")])


def print_status(assets: Sequence[AssetStatus]) -> None:
    """Print the state of each asset."""
    _print_assets(
        "state",
        [
            (asset.state, asset.path, asset.kind, _state_remarks(asset), asset.asset_id)
            for asset in assets
        ],
    )


def _state_remarks(asset: AssetStatus) -> list[str]:
    remarks = []
    if asset.is_edited_here and asset.state == "modified-there":
        remarks.append("modified here too: a pull merges them")
    if asset.renamed_from is not None:
        renamed = "renamed and edited" if asset.is_rewritten_here else "renamed"
        remarks.append(f"{renamed}: {asset.renamed_from} -> {asset.path}")
    if asset.renamed_there is not None:
        remarks.append(f"renamed there: {asset.renamed_there[0]} -> {asset.renamed_there[1]}")
    if asset.resolution is not None:
        remarks.append(f"resolved: {describe(asset.resolution)}")
    elif asset.settled:
        remarks.append("resolved by the other choices")
    elif asset.behind is not None:
        from towline.report import reason_message

        remarks.append(reason_message(asset.behind, asset.path))
    return remarks


def print_log(entries: Sequence[tuple[LoggedPull, dict[str, int]]]) -> None:
    """Print the applied plans, with how many assets each listed, each on one line."""
    columns = ["number", "at", "what", "from", "to", ""]
    rows = [_logged(entry, counts) for entry, counts in entries]
    if not fits(columns, rows):
        columns = ["number", "at", "what", "to", ""]
        rows = [
            [number, cell(at.text[:16]), what, to, cell(pluralize(sum(counts.values()), "asset"))]
            for (number, at, what, _, to, _), (_, counts) in zip(rows, entries, strict=True)
        ]
    print_table(columns, rows)


def _logged(entry: LoggedPull, counts: dict[str, int]) -> list[Cell]:
    return [
        cell(entry.number),
        cell(entry.at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if entry.at else ""),
        cell(_what(entry)),
        cell(short(entry.summary.base) if entry.summary.base else "-"),
        cell(short(entry.summary.revision) if entry.summary.revision else "-"),
        cell(", ".join(f"{count} {name}" for name, count in counts.items() if count)),
    ]


def _what(entry: LoggedPull) -> str:
    what = "pull" if entry.summary.undoes is None else f"undo of {entry.summary.undoes}"
    return f"{what} (undone)" if entry.undone else what


def print_resolutions(rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Print conflicts, each with its path, its resolution and its id."""
    print_table(
        ["conflict", "path", "resolution", "id"],
        [asset_row(kind, *others, style=STYLES["conflict"]) for kind, *others in rows],
    )
