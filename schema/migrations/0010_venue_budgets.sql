-- What all processes together may use of a venue host's weight, and until when it has banned their address.
-- Both are process time: the venue counts by the clock on the wall.

CREATE TABLE venue_budgets (
    host text PRIMARY KEY,
    window_start timestamptz NOT NULL,
    used integer NOT NULL CHECK (used >= 0),
    -- What the last to ask was given.
    granted integer NOT NULL CHECK (granted >= 0)
);

CREATE TABLE venue_bans (
    host text PRIMARY KEY,
    until timestamptz NOT NULL
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE ON venue_budgets, venue_bans TO runner_service;
    END IF;
END $$;
