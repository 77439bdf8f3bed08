-- What users and the operator are told outside: what they want to hear, what is on its way, and what is wrong now.

CREATE TABLE notice_settings (
    user_id text PRIMARY KEY CHECK (length(user_id) BETWEEN 1 AND 255),
    webhook_url text CHECK (length(webhook_url) <= 2000),
    email text CHECK (length(email) <= 320),
    wanted text[] NOT NULL DEFAULT '{}',
    -- What webhooks are signed with, sealed as keys of connections are (schema/vault.py).
    secret_id uuid,
    master_key_id text,
    data_key_id uuid,
    wrapped_key bytea,
    sealed_key bytea,
    sealed_secret bytea,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((secret_id IS NULL) = (sealed_secret IS NULL))
);

-- Up to which event deliveries have been made out; whoever locks the row does it.
CREATE TABLE notice_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_event_id bigint NOT NULL
);
INSERT INTO notice_cursor (last_event_id) SELECT last_value FROM strategy_event_ids;

-- Times are process time: the world outside has no other.
CREATE TABLE notice_deliveries (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    user_id text NOT NULL,
    channel text NOT NULL CHECK (channel IN ('webhook', 'email')),
    kind text NOT NULL,
    content jsonb NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (event_id, user_id, channel)
);
CREATE INDEX notice_deliveries_due ON notice_deliveries (next_at) WHERE state = 'waiting';
CREATE INDEX notice_deliveries_by_user ON notice_deliveries (user_id, id);
CREATE INDEX notice_deliveries_by_age ON notice_deliveries (created_at);

-- What is or was wrong; `subject` says with what: a run, a user, an order, or nothing in particular.
CREATE TABLE alerts (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    subject text NOT NULL DEFAULT '',
    detail text NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT runner_now(),
    cleared_at timestamptz
);
CREATE UNIQUE INDEX alerts_one_open ON alerts (kind, subject) WHERE cleared_at IS NULL;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON notice_settings, notice_deliveries TO runner_service;
        GRANT SELECT, UPDATE ON notice_cursor TO runner_service;
        GRANT SELECT, INSERT, UPDATE ON alerts TO runner_service;
    END IF;
END $$;
