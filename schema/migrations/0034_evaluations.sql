-- What an evaluation took of its time limit, whom it reached, what its code printed, and what is wrong with its code.

-- First, and alone: while it is built the tables are read, and tick rows written.
CREATE INDEX strategy_executions_by_tick ON strategy_executions (slot, left(evaluation_key, 32));

-- `reached`: runs by process, of which `runs_reached` is the sum; a process says its own number, more than once.
ALTER TABLE strategy_executions
    ADD COLUMN used_ms double precision,
    ADD COLUMN limit_ms double precision,
    ADD COLUMN reached jsonb;

-- Which evaluation a tick shared: the first half of its key. Strategies of the same content share one.
ALTER TABLE strategy_tick_runs ADD COLUMN evaluation uuid;

-- No foreign keys, as for executions: rows arrive in batches. The newest of each strategy are kept; its author's alone.
CREATE TABLE execution_prints (
    number bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    strategy_id uuid NOT NULL,
    user_id text NOT NULL,
    evaluation_key text NOT NULL,
    slot timestamptz NOT NULL,
    printed text NOT NULL CHECK (length(printed) <= 10000),
    UNIQUE (strategy_id, slot, evaluation_key)
);

-- Once for each version and kind.
CREATE TABLE strategy_warnings (
    strategy_id uuid NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('near_time_limit', 'not_deterministic')),
    user_id text NOT NULL,
    slot timestamptz NOT NULL,
    detail jsonb NOT NULL CHECK (jsonb_typeof(detail) = 'object'),
    warned_at timestamptz NOT NULL DEFAULT runner_now(),
    PRIMARY KEY (strategy_id, version, kind)
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON execution_prints TO runner_service;
        GRANT SELECT, INSERT ON strategy_warnings TO runner_service;
    END IF;
END $$;
