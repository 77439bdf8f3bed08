-- What happened: ticks, executions, signals, candles, events. By month where rows never stop coming.

INSERT INTO monthly_tables VALUES ('strategy_tick_runs'), ('strategy_events'), ('signals');

-- No foreign keys here: ten thousand rows arrive in one COPY, and ids come from claims.
CREATE TABLE strategy_tick_runs (
    run_id uuid NOT NULL,
    user_id text NOT NULL,
    slot timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('ok', 'skipped', 'blocked', 'error', 'missed')),
    signal text CHECK (signal IN ('long', 'short', 'hold', 'exit_long', 'exit_short')),
    reason text,
    source text NOT NULL CHECK (source IN ('timer', 'candle', 'cron', 'operator')),
    scheduled_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    latency_ms double precision NOT NULL,
    worker text NOT NULL,
    fence bigint NOT NULL,
    PRIMARY KEY (run_id, slot)
) PARTITION BY RANGE (slot);
CREATE INDEX strategy_tick_runs_by_slot ON strategy_tick_runs (slot);

CREATE TABLE strategy_executions (
    evaluation_key text NOT NULL,
    strategy_id uuid NOT NULL,
    slot timestamptz NOT NULL,
    worker text NOT NULL,
    duration_ms double precision NOT NULL,
    status text NOT NULL CHECK (status IN ('success', 'failed', 'skipped', 'no_signal')),
    action text,
    price double precision,
    reason text,
    indicators jsonb NOT NULL DEFAULT '{}',
    runs_reached integer NOT NULL CHECK (runs_reached >= 0),
    nodes_executed integer NOT NULL CHECK (nodes_executed >= 0),
    error text,
    stored_at timestamptz NOT NULL DEFAULT runner_now(),
    PRIMARY KEY (evaluation_key, slot)
);
CREATE INDEX strategy_executions_by_strategy ON strategy_executions (strategy_id, slot);

CREATE TABLE signals (
    run_id uuid NOT NULL,
    user_id text NOT NULL,
    slot timestamptz NOT NULL,
    strategy_id uuid NOT NULL,
    symbol text NOT NULL,
    action text NOT NULL CHECK (action IN ('long', 'short', 'exit_long', 'exit_short')),
    at timestamptz NOT NULL,
    PRIMARY KEY (run_id, slot)
) PARTITION BY RANGE (slot);
CREATE INDEX signals_by_user ON signals (user_id, slot);

CREATE TABLE candles (
    venue text NOT NULL,
    market text NOT NULL,
    symbol text NOT NULL,
    timeframe text NOT NULL,
    open_time timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    taker_buy_volume double precision,
    trade_count integer,
    PRIMARY KEY (venue, market, symbol, timeframe, open_time)
);

-- A user's risk, without the days: the row an intent locks.
CREATE TABLE risk_users (
    user_id text PRIMARY KEY,
    streak integer NOT NULL DEFAULT 0 CHECK (streak >= 0),
    last_trade_at timestamptz,
    paused_until timestamptz,
    paused_reason text,
    event_seq bigint NOT NULL DEFAULT 0,
    CHECK ((paused_until IS NULL) = (paused_reason IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX risk_users_paused ON risk_users (paused_until) WHERE paused_until IS NOT NULL;

CREATE FUNCTION guard_user_counter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_seq <> OLD.event_seq + 1 OR pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'only an event moves the event counter' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER risk_users_guard BEFORE UPDATE ON risk_users
    FOR EACH ROW WHEN (OLD.event_seq <> NEW.event_seq) EXECUTE FUNCTION guard_user_counter();

CREATE TABLE strategy_events (
    id bigint NOT NULL,
    user_id text NOT NULL,
    run_id uuid,
    seq bigint NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    payload jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX strategy_events_by_run ON strategy_events (run_id, id) WHERE run_id IS NOT NULL;
CREATE INDEX strategy_events_errors ON strategy_events (run_id, id) WHERE type = 'error';
CREATE INDEX strategy_events_by_user ON strategy_events (user_id, id);

CREATE SEQUENCE strategy_event_ids;

-- Numbers an event: nobody else can. A unique index over months cannot hold (run, seq); the locked counter does.
-- Before its first id a transaction announces, as an advisory lock, a number that no id of its will be below;
-- `events_horizon` reads those, so that a reader in id order never passes an event still to be committed.
CREATE FUNCTION number_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('runner.events_announced', true), '') = '' THEN
        PERFORM pg_advisory_xact_lock_shared(1163284301,
                                             ((last_value + is_called::integer) % 2147483647)::integer)
           FROM strategy_event_ids;
        PERFORM set_config('runner.events_announced', 'yes', true);
    END IF;
    IF NEW.run_id IS NOT NULL THEN
        UPDATE strategy_runs SET event_seq = event_seq + 1
         WHERE id = NEW.run_id AND user_id = NEW.user_id RETURNING event_seq INTO NEW.seq;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no run % of user %', NEW.run_id, NEW.user_id USING ERRCODE = 'foreign_key_violation';
        END IF;
    ELSE
        INSERT INTO risk_users (user_id) VALUES (NEW.user_id) ON CONFLICT DO NOTHING;
        UPDATE risk_users SET event_seq = event_seq + 1 WHERE user_id = NEW.user_id
            RETURNING event_seq INTO NEW.seq;
    END IF;
    -- Under the counter's lock, so that ids rise with the sequence.
    NEW.id := nextval('strategy_event_ids');
    RETURN NEW;
END $$;
CREATE TRIGGER strategy_events_number BEFORE INSERT ON strategy_events
    FOR EACH ROW EXECUTE FUNCTION number_event();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER strategy_events_append_only BEFORE UPDATE OR DELETE ON strategy_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER strategy_events_no_truncate BEFORE TRUNCATE ON strategy_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The highest id up to which every event is committed or never will be. Read it in a statement of its own,
-- before the events: ids first, then who is still writing, then (a later snapshot) the rows.
CREATE FUNCTION events_horizon() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    newest bigint;
    furthest_back bigint;
BEGIN
    SELECT last_value INTO newest FROM strategy_event_ids;
    -- A lock's number wraps; half the circle ahead of `newest` are writers that came after it was read.
    SELECT max(behind) INTO furthest_back
      FROM (SELECT (newest - objid::bigint + 2147483647) % 2147483647 AS behind FROM pg_locks
             WHERE locktype = 'advisory' AND classid = 1163284301 AND objsubid = 2 AND granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS writers
     WHERE behind < 1073741824;
    RETURN newest - coalesce(furthest_back + 1, 0);
END $$;
