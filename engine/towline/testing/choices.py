"""What a caller of a pull chooses, as hypothesis strategies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

from towline.model import AssetId
from towline.options import OnConflict, PullOptions, Renames, Resolutions, Selection, Side
from towline.testing.sides import ThreeSides


@st.composite
def resolved_sides(
    draw: st.DrawFn, sides: st.SearchStrategy[ThreeSides]
) -> tuple[ThreeSides, Resolutions]:
    """A project, and a side for some of the assets that it knows, or would know.

    Not every choice is a legal one: use_theirs where theirs has no version is a typed error.
    """
    project = draw(sides)
    known = project.ids()
    chosen = draw(_CHOICES) if known else []
    return project, resolved({known[number % len(known)]: side for number, side in chosen})


_CHOICES = st.lists(st.tuples(st.integers(0, 7), st.sampled_from(list(Side))), max_size=3)


def resolved(chosen: Mapping[AssetId, Side]) -> Resolutions:
    """Return the resolutions that choose these sides."""
    return Resolutions(
        use_theirs=frozenset(name for name, side in chosen.items() if side is Side.THEIRS),
        use_ours=frozenset(name for name, side in chosen.items() if side is Side.OURS),
    )


def pull_options(
    *, renames: Iterable[Renames] = Renames, on_conflict: Iterable[OnConflict] = OnConflict
) -> st.SearchStrategy[PullOptions]:
    """Options of a pull without resolutions; an empty result is always allowed."""
    return st.sampled_from(
        [
            PullOptions(on_conflict=each, only=only, allow_empty=True, renames=setting)
            for setting in renames
            for only in (Selection(), Selection(), *_SELECTIONS)
            for each in on_conflict
        ]
    )


_SELECTIONS = (
    Selection(kinds=frozenset(["rule"])),
    Selection(globs=("a", "b")),
    Selection(globs=("d/**",)),
)
