-- Signals as they are told outside: what was told, what was withheld and why, and how far each receiver has it.

-- What the strategy said beside action and score.
ALTER TABLE signals ADD COLUMN said jsonb;

-- Up to which event signals have been looked at; whoever locks the row does it.
CREATE TABLE signal_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_event_id bigint NOT NULL
);
INSERT INTO signal_cursor (last_event_id)
SELECT coalesce((SELECT max(id) FROM strategy_events), 0);

-- One row a signal, however many runs follow the strategy; `user_id` is of the run it was first heard of from.
-- `at` is market time, `expires_at` process time: the world outside has no other.
CREATE TABLE published_signals (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    signal_id uuid NOT NULL UNIQUE,
    user_id text NOT NULL,
    symbol text NOT NULL,
    action text NOT NULL CHECK (action IN ('LONG', 'SHORT', 'CLOSE')),
    at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    withheld text,
    content jsonb NOT NULL CHECK (jsonb_typeof(content) = 'object'),
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX published_signals_told ON published_signals (symbol, at) WHERE withheld IS NULL;
CREATE INDEX published_signals_by_age ON published_signals (stored_at);

-- Who is told. One process at a time tells a receiver; `sent`, `expired` and `lost` count signals.
CREATE TABLE signal_receivers (
    name text PRIMARY KEY CHECK (name IN ('redis', 'influxdb')),
    last_id bigint NOT NULL,
    owner text,
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    sent bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    lost bigint NOT NULL DEFAULT 0,
    failing_since timestamptz,
    last_error text
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON published_signals TO runner_service;
        GRANT SELECT, UPDATE ON signal_cursor TO runner_service;
        GRANT SELECT, INSERT, UPDATE ON signal_receivers TO runner_service;
    END IF;
END $$;
