-- Keys by which chart services, which can set no header, send signals to one external strategy. One for each strategy: a
-- new one ends the one before.
CREATE TABLE alert_keys (
    strategy_id uuid PRIMARY KEY REFERENCES strategies,
    -- The strategy's owner.
    user_id text NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
    -- SHA-256 of the key, which is told once and kept nowhere.
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    made_at timestamptz NOT NULL
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON alert_keys TO runner_service;
    END IF;
END $$;
