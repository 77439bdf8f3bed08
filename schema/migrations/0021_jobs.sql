-- Long work: one row for each backtest, download of candles and what-if, from asking to its result.

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    user_id text NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
    kind text NOT NULL CHECK (kind IN ('backtest', 'backfill', 'what_if')),
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    params jsonb NOT NULL,
    done bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
    total bigint NOT NULL DEFAULT 0 CHECK (total >= 0),
    result jsonb,
    error text,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Who works on it, until when it is theirs; each time it is begun has a fence of its own.
    owner text,
    lease_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    CHECK ((state = 'running') = (owner IS NOT NULL AND lease_until IS NOT NULL)),
    CHECK ((state IN ('done', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL))
);
CREATE INDEX jobs_open ON jobs (created_at, id) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_by_user ON jobs (user_id, kind, created_at, id);

-- What is too large for a row that lists show: the report's page, round trips, the curve. Deflated.
CREATE TABLE job_files (
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    user_id text NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    content bytea NOT NULL CHECK (octet_length(content) <= 33554432),
    PRIMARY KEY (job_id, name)
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON jobs, job_files TO runner_service;
    END IF;
END $$;
