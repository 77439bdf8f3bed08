-- Signals that come from outside: each stored before it is acted upon, once per key of its strategy, and owed to every
-- run that was active then until that run's slot has its row.

CREATE TABLE external_signals (
    id uuid PRIMARY KEY,
    strategy_id uuid NOT NULL REFERENCES strategies,
    -- The strategy's owner: nobody else sends any.
    user_id text NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
    strategy_version integer NOT NULL CHECK (strategy_version >= 1),
    key text NOT NULL CHECK (length(key) BETWEEN 8 AND 64),
    -- Market time of receipt, and the whole second named after it.
    received_at timestamptz NOT NULL,
    slot timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > received_at),
    -- The signal as it was sent, in one spelling: the same key with another is another request.
    content text NOT NULL CHECK (length(content) <= 10000),
    runs integer NOT NULL CHECK (runs >= 0),
    UNIQUE (strategy_id, key),
    UNIQUE (strategy_id, slot)
);
CREATE INDEX external_signals_by_age ON external_signals (received_at);

CREATE TABLE external_deliveries (
    run_id uuid NOT NULL REFERENCES strategy_runs,
    slot timestamptz NOT NULL,
    signal_id uuid NOT NULL REFERENCES external_signals,
    -- Of the run.
    user_id text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, slot)
);
CREATE INDEX external_deliveries_by_signal ON external_deliveries (signal_id);

-- Who asked for a slot may be such a signal.
ALTER TABLE strategy_locks
    DROP CONSTRAINT strategy_locks_source_check,
    ADD CONSTRAINT strategy_locks_source_check
        CHECK (source IN ('timer', 'candle', 'cron', 'operator', 'external'));
ALTER TABLE strategy_tick_runs
    DROP CONSTRAINT strategy_tick_runs_source_check,
    ADD CONSTRAINT strategy_tick_runs_source_check
        CHECK (source IN ('timer', 'candle', 'cron', 'operator', 'external')) NOT VALID;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON external_signals, external_deliveries TO runner_service;
    END IF;
END $$;
