"""Ours as plain dicts: each question of the protocol."""

from towline.merge.index import AssetIndex
from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.names import NamePolicy
from towline.records import AssetRecord, LocalFile

P = AssetPath
SAME = "same as base"


def state(path: str, content: bytes = b"1") -> AssetState:
    return AssetState(path=P(path), digest=Digest.of(content))


def record(
    number: int,
    base: AssetState | None,
    ours: AssetState | str | None = SAME,
    seen: AssetState | NonAsset | str | None = SAME,
    embedded: str | None = None,
) -> AssetRecord:
    return AssetRecord(
        id=AssetId(f"{number:024x}"),
        kind="file",
        base=base,
        ours=base if isinstance(ours, str) else ours,
        recorded=base if isinstance(seen, str) else seen,
        embedded_id=embedded,
    )


def paths(index: AssetIndex, path: str) -> list[str]:
    return [
        found.path if isinstance(found, LocalFile) else found.ours.path  # type: ignore[union-attr]
        for found in index.occupants(P(path))
    ]


def test_at_takes_the_path_in_ours_and_aligned_at_that_in_the_repository():
    moved = record(1, state("a"), state("b"))
    index = AssetIndex([moved])
    assert index.at(P("b")) == moved
    assert index.at(P("a")) is None
    assert index.aligned_at(P("a")) == moved
    assert index.aligned_at(P("b")) is None


def test_an_asset_behind_its_deletion_has_no_path_in_the_recorded_tree():
    was = record(1, state("a"), seen=None)
    seen = record(2, None, ours=None, seen=state("a"))
    for order in ([was, seen], [seen, was]):
        index = AssetIndex(order)
        assert index.aligned_at(P("a")) == seen
        assert list(index.lagging()) == [was, seen]


def test_an_asset_that_became_no_asset_is_aligned_where_it_is_seen():
    link = NonAsset(path=P("a"), reason=NonAssetReason.SYMLINK)
    lagging = record(1, state("a"), state("b"), link)
    index = AssetIndex([lagging])
    assert index.aligned_at(P("a")) == lagging
    assert list(index.lagging()) == [lagging]


def test_occupants_are_at_the_path_above_it_and_below_it():
    index = AssetIndex(
        [record(1, state("a/b/c")), record(2, state("a-b")), record(3, state("d"))],
        files=[P("a/b/d/e"), P("a.b")],
    )
    assert paths(index, "a/b") == ["a/b/c", "a/b/d/e"]
    assert paths(index, "a/b/c") == ["a/b/c"]
    assert paths(index, "d/e/f") == ["d"]
    assert paths(index, "a") == ["a/b/c", "a/b/d/e"]
    assert paths(index, "e") == []


def test_occupants_follow_the_name_policy():
    records = [record(1, state("Ab/c")), record(2, state("caf\u00e9"))]
    exact = AssetIndex(records)
    assert paths(exact, "ab/C") == paths(exact, "cafe\u0301") == []
    folded = AssetIndex(records, names=NamePolicy.FOLDS_CASE_AND_NORMALISES)
    assert paths(folded, "aB/C") == paths(folded, "AB") == ["Ab/c"]
    assert paths(folded, "CAFE\u0301/x") == ["caf\u00e9"]


def test_a_deleted_asset_keeps_its_id_but_no_place():
    index = AssetIndex(
        [record(1, state("a"), None), record(2, None)], used={AssetId("old"): P("b")}
    )
    assert index.at(P("a")) is None
    assert not index.occupants(P("a"))
    assert index.with_id(AssetId(f"{1:024x}")) is not None
    assert index.with_id(AssetId(f"{2:024x}")) is None, "it has no state"
    assert index.is_used(AssetId(f"{2:024x}"))
    assert index.is_used(AssetId("old"))
    assert (index.former_id(P("b")), index.former_id(P("a"))) == ("old", None)
    assert not index.is_used(AssetId("new"))


def test_embedded_ids_are_indexed_by_id():
    twice = [record(2, state("b"), embedded="x"), record(1, state("a"), embedded="x")]
    assert [r.id for r in AssetIndex(twice).with_embedded_id("x")] == [twice[1].id, twice[0].id]
    assert list(AssetIndex(twice).with_embedded_id("y")) == []


def test_files_are_in_the_way():
    index = AssetIndex(files=[P("b"), P("a/x")])
    assert index.occupants(P("a")) == [LocalFile(path=P("a/x"))]
