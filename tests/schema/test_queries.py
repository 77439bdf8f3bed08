"""Named queries are found by name; a file that says too little or too much is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from schema.queries import QUERIES, Query, QueryFileError, load_queries

GOOD = """-- Runs and their locks.

-- name: claim_runs
-- Leases due runs for one owner.
UPDATE locks SET owner = %(owner)s -- a note
 WHERE slot < %(slot)s;

-- name: count_runs
-- How many runs there are.
SELECT count(*) FROM runs
"""


def test_queries_are_indexed_by_name_with_purpose_and_statement(tmp_path: Path) -> None:
    (tmp_path / "runs.sql").write_text(GOOD)
    queries = load_queries(tmp_path)
    assert list(queries) == ["claim_runs", "count_runs"]
    assert queries["claim_runs"] == Query(
        name="claim_runs",
        purpose="Leases due runs for one owner.",
        sql=b"UPDATE locks SET owner = %(owner)s -- a note\n WHERE slot < %(slot)s",
        file="runs.sql",
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("-- name: a\nSELECT 1;", "bad.sql:1: the query a does not say its purpose"),
        ("-- name: a\n--\nSELECT 1;", "bad.sql:1: the query a does not say its purpose"),
        ("-- name: a", "bad.sql:1: the query a does not say its purpose"),
        ("-- name: a\n-- P.\n-- only words\n;", "bad.sql:1: the query a has no statement"),
        ("\n-- name: Two Words\n-- P.\nSELECT 1;", "bad.sql:2: 'Two Words' is no query name"),
        ("-- name:\n-- P.\nSELECT 1;", "bad.sql:1: '' is no query name"),
        ("SELECT 1;\n-- name: a\n-- P.\nSELECT 1;", "bad.sql:1: a statement stands before"),
        ("-- name: a\n-- P.\nSELECT 1;\n-- name: a\n-- P.\nSELECT 2;", "bad.sql:4: the query a is already"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "bad.sql").write_text(text)
    with pytest.raises(QueryFileError) as refusal:
        load_queries(tmp_path)
    assert str(refusal.value).startswith(sentence)


def test_a_name_is_unique_over_all_files(tmp_path: Path) -> None:
    for name in ("a.sql", "b.sql"):
        (tmp_path / name).write_text("-- name: same\n-- P.\nSELECT 1")
    with pytest.raises(QueryFileError, match=r"b\.sql:1: the query same is already in a\.sql"):
        load_queries(tmp_path)


def test_the_project_s_own_queries_load() -> None:
    names = load_queries(QUERIES)
    assert all(name == query.name for name, query in names.items())
