"""The description of a schema names everything the migrations make, and nothing that varies."""

from __future__ import annotations

import psycopg

from schema.describe import describe
from tests.schema.conftest import Database

SCHEMA = """
CREATE TYPE side AS ENUM ('long', 'short');
CREATE DOMAIN positive AS numeric(20, 8) CHECK (VALUE > 0);
CREATE SEQUENCE fences START 5;
CREATE TABLE runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    side side NOT NULL DEFAULT 'long',
    quantity positive,
    double numeric GENERATED ALWAYS AS (quantity * 2) STORED,
    at timestamptz NOT NULL,
    CONSTRAINT runs_early CHECK (at < '2100-01-01 00:00+00'),
    CONSTRAINT runs_once UNIQUE (side, at)
) WITH (fillfactor = 80);
CREATE TABLE ticks (run bigint REFERENCES runs, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE ticks_2030 PARTITION OF ticks FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
CREATE TABLE ticks_rest PARTITION OF ticks DEFAULT;
CREATE INDEX ticks_at ON ticks (at);
CREATE UNIQUE INDEX runs_long ON runs (at) WHERE side = 'long';
CREATE VIEW latest AS SELECT max(at) AS at FROM runs;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER runs_append_only BEFORE DELETE ON runs FOR EACH ROW EXECUTE FUNCTION refuse();
"""

DESCRIBED = """\
CREATE TYPE side AS ENUM ('long', 'short');

CREATE DOMAIN positive AS numeric(20,8) CONSTRAINT positive_check CHECK ((VALUE > (0)::numeric));

CREATE SEQUENCE fences AS bigint INCREMENT 1 MINVALUE 1 MAXVALUE 9223372036854775807 START 5 CACHE 1;

CREATE TABLE runs (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    side side DEFAULT 'long'::side NOT NULL,
    quantity positive,
    double numeric GENERATED ALWAYS AS (((quantity)::numeric * (2)::numeric)) STORED,
    at timestamp with time zone NOT NULL,
    CONSTRAINT runs_pkey PRIMARY KEY (id),
    CONSTRAINT runs_early CHECK ((at < '2100-01-01 00:00:00+00'::timestamp with time zone)),
    CONSTRAINT runs_once UNIQUE (side, at)
) WITH (fillfactor=80);

CREATE TABLE ticks (
    run bigint,
    at timestamp with time zone NOT NULL,
    CONSTRAINT ticks_run_fkey FOREIGN KEY (run) REFERENCES runs(id)
) PARTITION BY RANGE (at);

CREATE TABLE ticks_rest PARTITION OF ticks DEFAULT;

CREATE UNIQUE INDEX runs_long ON public.runs USING btree (at) WHERE (side = 'long'::side);

CREATE INDEX ticks_at ON ONLY public.ticks USING btree (at);

CREATE VIEW latest AS
 SELECT max(at) AS at
   FROM runs;

CREATE OR REPLACE FUNCTION public.refuse()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$ BEGIN RAISE EXCEPTION 'no'; END $function$;

CREATE TRIGGER runs_append_only BEFORE DELETE ON public.runs FOR EACH ROW EXECUTE FUNCTION refuse();
"""


def test_an_empty_database_is_described_by_nothing(empty_database: Database) -> None:
    with psycopg.connect(empty_database.owner_dsn, connect_timeout=5) as connection:
        assert describe(connection) == ""


def test_every_kind_of_object_is_described(empty_database: Database) -> None:
    with psycopg.connect(empty_database.owner_dsn, connect_timeout=5) as connection:
        connection.execute(SCHEMA)
        assert describe(connection).splitlines() == DESCRIBED.splitlines()


def test_a_changed_function_body_changes_the_description(empty_database: Database) -> None:
    with psycopg.connect(empty_database.owner_dsn, connect_timeout=5) as connection:
        connection.execute("CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
        before = describe(connection)
        connection.execute("CREATE OR REPLACE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 2'")
        assert describe(connection) != before
