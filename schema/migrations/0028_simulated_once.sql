-- Simulated trades that are booked, by the id of the request: its repeat books nothing more. Kept for longer than an
-- idempotency key is.
CREATE TABLE simulated_trades (
    id uuid PRIMARY KEY,
    user_id text NOT NULL,
    booked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX simulated_trades_by_age ON simulated_trades (booked_at);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, DELETE ON simulated_trades TO runner_service;
    END IF;
END $$;
