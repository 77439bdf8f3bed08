-- What an administrator lets a user have at most, and positions that somebody wants closed.

CREATE TABLE risk_ceilings (
    user_id text PRIMARY KEY CHECK (length(user_id) BETWEEN 1 AND 255),
    daily_max_loss_usdt numeric NOT NULL CHECK (daily_max_loss_usdt > 0 AND daily_max_loss_usdt < 'Infinity'),
    max_trades_per_day integer NOT NULL CHECK (max_trades_per_day >= 0),
    max_consecutive_losses integer NOT NULL CHECK (max_consecutive_losses >= 1),
    cooldown_after_trade_s numeric NOT NULL CHECK (cooldown_after_trade_s >= 0 AND cooldown_after_trade_s < 'Infinity'),
    pause_duration_min numeric NOT NULL CHECK (pause_duration_min >= 1 AND pause_duration_min < 'Infinity'),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A request, until its run's position is flat. Which process does it is decided by who follows the account.
CREATE TABLE flattens (
    id uuid PRIMARY KEY,
    run_id uuid NOT NULL REFERENCES strategy_runs (id),
    user_id text NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts (id),
    symbol text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT runner_now(),
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('flat', 'given_up')),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CREATE UNIQUE INDEX flattens_one_open ON flattens (run_id) WHERE ended_at IS NULL;
CREATE INDEX flattens_by_user ON flattens (user_id, asked_at);

-- An account's round trips by when they ended, for its page.
CREATE INDEX trades_by_account ON trades (account_id, exit_time, id);

CREATE FUNCTION notify_flatten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('flattens', '');
    RETURN NULL;
END $$;
CREATE TRIGGER flattens_notify AFTER INSERT ON flattens FOR EACH STATEMENT EXECUTE FUNCTION notify_flatten();

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE ON risk_ceilings, flattens TO runner_service;
    END IF;
END $$;
