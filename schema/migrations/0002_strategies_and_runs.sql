-- Who trades what, with whose money: accounts, strategies, runs, leases.

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    user_id text NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('portfolio', 'connection')),
    venue text NOT NULL,
    bankroll numeric NOT NULL CHECK (bankroll >= 0 AND bankroll < 'Infinity'),
    balance numeric NOT NULL CHECK (balance > '-Infinity' AND balance < 'Infinity'),
    used_margin numeric NOT NULL DEFAULT 0 CHECK (used_margin > '-Infinity' AND used_margin < 'Infinity'),
    maker_fee_pct numeric NOT NULL,
    taker_fee_pct numeric NOT NULL,
    slippage_pct numeric NOT NULL CHECK (slippage_pct >= 0),
    participation_pct numeric NOT NULL CHECK (participation_pct > 0 AND participation_pct <= 100),
    max_leverage integer NOT NULL CHECK (max_leverage >= 1),
    max_notional numeric CHECK (max_notional > 0),
    kill_switch boolean NOT NULL DEFAULT false,
    kill_switch_reason text,
    outage_orders integer NOT NULL DEFAULT 0 CHECK (outage_orders >= 0),
    created_at timestamptz NOT NULL DEFAULT runner_now(),
    UNIQUE (id, user_id)
) WITH (fillfactor = 70);
CREATE INDEX accounts_by_user ON accounts (user_id);

CREATE VIEW portfolios AS
SELECT id, user_id, name, bankroll, balance, used_margin, maker_fee_pct, taker_fee_pct, slippage_pct,
       participation_pct, max_leverage, max_notional, kill_switch, outage_orders, created_at
  FROM accounts WHERE kind = 'portfolio';

CREATE VIEW exchange_connections AS
SELECT id, user_id, name, venue, max_leverage, max_notional, kill_switch, created_at
  FROM accounts WHERE kind = 'connection';

CREATE TABLE equity_points (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
    at timestamptz NOT NULL,
    balance numeric NOT NULL
);
CREATE INDEX equity_points_by_account ON equity_points (account_id, at, id);

CREATE TABLE strategies (
    id uuid PRIMARY KEY,
    owner_id text NOT NULL CHECK (length(owner_id) BETWEEN 1 AND 255),
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    kind text NOT NULL CHECK (kind IN ('template')),
    visibility text NOT NULL CHECK (visibility IN ('private', 'public', 'marketplace')),
    latest_version integer NOT NULL CHECK (latest_version >= 1),
    created_at timestamptz NOT NULL DEFAULT runner_now()
);
CREATE INDEX strategies_by_owner ON strategies (owner_id);

CREATE TABLE strategy_versions (
    strategy_id uuid NOT NULL REFERENCES strategies (id) ON DELETE CASCADE,
    version integer NOT NULL CHECK (version >= 1),
    template text NOT NULL,
    parameters jsonb NOT NULL CHECK (jsonb_typeof(parameters) = 'object'),
    venue text NOT NULL,
    market text NOT NULL,
    symbol text NOT NULL,
    timeframe text NOT NULL,
    timeframe_s integer NOT NULL CHECK (timeframe_s > 0),
    created_at timestamptz NOT NULL DEFAULT runner_now(),
    PRIMARY KEY (strategy_id, version)
);

CREATE TABLE strategy_runs (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    user_id text NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
    strategy_id uuid NOT NULL REFERENCES strategies (id),
    account_id uuid,
    symbol text NOT NULL,
    trading_mode text NOT NULL CHECK (trading_mode IN ('paper', 'live', 'signals')),
    execution_mode text NOT NULL CHECK (execution_mode IN ('AUTO', 'SCHEDULED', 'MANUAL')),
    schedule text,
    direction text NOT NULL CHECK (direction IN ('both', 'long', 'short')),
    leverage integer NOT NULL CHECK (leverage >= 1),
    margin_mode text NOT NULL,
    position_mode text NOT NULL,
    capital numeric NOT NULL CHECK (capital > 0 AND capital < 'Infinity'),
    size_by text NOT NULL CHECK (size_by IN ('percent', 'risk', 'amount')),
    order_size_pct numeric NOT NULL CHECK (order_size_pct > 0),
    risk_pct numeric CHECK (risk_pct > 0),
    take_profit_pct numeric CHECK (take_profit_pct > 0),
    stop_loss_pct numeric CHECK (stop_loss_pct > 0),
    status text NOT NULL DEFAULT 'draft'
        CHECK (status IN ('draft', 'active', 'paused', 'stopped', 'auto_paused', 'error', 'archived')),
    status_reason text,
    adapter_errors integer NOT NULL DEFAULT 0 CHECK (adapter_errors >= 0),
    version integer NOT NULL DEFAULT 1,
    event_seq bigint NOT NULL DEFAULT 0,
    activated_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT runner_now(),
    -- A run's money is its own user's (I12).
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (id, user_id),
    CHECK (account_id IS NOT NULL OR trading_mode = 'signals')
) WITH (fillfactor = 70);
CREATE INDEX strategy_runs_by_user ON strategy_runs (user_id);
CREATE INDEX strategy_runs_by_strategy ON strategy_runs (strategy_id);
CREATE INDEX strategy_runs_active ON strategy_runs (id) WHERE status = 'active';
-- One run per account and symbol that is not archived (decision 13).
CREATE UNIQUE INDEX strategy_runs_one_per_symbol ON strategy_runs (account_id, symbol)
    WHERE status <> 'archived' AND account_id IS NOT NULL;

-- The moves of core/run.py, so that no statement from anywhere makes another.
CREATE FUNCTION guard_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.user_id <> OLD.user_id OR NEW.strategy_id <> OLD.strategy_id THEN
        RAISE EXCEPTION 'a run keeps its id, user and strategy' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.event_seq <> OLD.event_seq AND (NEW.event_seq <> OLD.event_seq + 1 OR pg_trigger_depth() < 2) THEN
        RAISE EXCEPTION 'only an event moves the event counter' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.version < OLD.version THEN
        RAISE EXCEPTION 'a row version never falls' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('draft', 'active'), ('draft', 'archived'),
        ('active', 'paused'), ('active', 'stopped'), ('active', 'auto_paused'), ('active', 'error'),
        ('paused', 'active'), ('paused', 'stopped'), ('paused', 'archived'),
        ('stopped', 'active'), ('stopped', 'archived'),
        ('auto_paused', 'active'), ('auto_paused', 'stopped'), ('auto_paused', 'archived'),
        ('error', 'active'), ('error', 'stopped'), ('error', 'archived')) THEN
        RAISE EXCEPTION 'a run that is % cannot become %', OLD.status, NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER strategy_runs_guard BEFORE UPDATE ON strategy_runs
    FOR EACH ROW EXECUTE FUNCTION guard_run();

-- At commit, a status that changed has left an event behind (I11).
CREATE FUNCTION require_status_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT event_seq FROM strategy_runs WHERE id = NEW.id) <= OLD.event_seq THEN
        RAISE EXCEPTION 'the status of run % changed without an event', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER strategy_runs_status_event AFTER UPDATE ON strategy_runs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.status <> NEW.status)
    EXECUTE FUNCTION require_status_event();

-- A hint for whoever keeps actors in step with rows; one per statement, none for the event counter.
CREATE FUNCTION notify_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('runs', '');
    RETURN NULL;
END $$;
CREATE TRIGGER strategy_runs_notify AFTER INSERT OR UPDATE OF status, version ON strategy_runs
    FOR EACH STATEMENT EXECUTE FUNCTION notify_runs();

-- Survives the deletion of any lease row (I6).
CREATE SEQUENCE strategy_fence;

-- One row a run that every tick writes: lease, last slot, and what the last tick came to.
CREATE TABLE strategy_locks (
    run_id uuid PRIMARY KEY REFERENCES strategy_runs (id) ON DELETE CASCADE,
    owner text,
    fence bigint NOT NULL DEFAULT 0,
    locked_until timestamptz NOT NULL DEFAULT '-infinity',
    last_slot timestamptz,
    previous_slot timestamptz,
    ticked_slot timestamptz,
    last_run_at timestamptz,
    last_status text,
    last_signal text,
    last_signal_at timestamptz
) WITH (fillfactor = 50);

CREATE FUNCTION guard_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.fence < OLD.fence THEN
        RAISE EXCEPTION 'a fence never falls' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.owner IS DISTINCT FROM OLD.owner AND NEW.fence = OLD.fence THEN
        RAISE EXCEPTION 'a new owner needs a new fence' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.last_slot < OLD.last_slot THEN
        RAISE EXCEPTION 'a slot is never claimed after a later one' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER strategy_locks_guard BEFORE UPDATE OF fence, owner, last_slot ON strategy_locks
    FOR EACH ROW EXECUTE FUNCTION guard_lock();

-- Whether a lease is held under this fence, from now until the transaction ends: the row stays locked.
CREATE FUNCTION lease_holds(run uuid, held bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM strategy_locks WHERE run_id = run FOR UPDATE;
    -- Read after the wait, so that a lease that ran out meanwhile is seen as run out.
    RETURN EXISTS (SELECT FROM strategy_locks
                    WHERE run_id = run AND fence = held AND clock_timestamp() < locked_until);
END $$;

-- A run with the latest version of its strategy, as the program reads it.
CREATE VIEW run_rows AS
SELECT r.id, r.user_id, r.account_id, r.trading_mode, r.execution_mode, r.schedule, r.direction, r.leverage,
       r.margin_mode, r.position_mode, r.capital, r.size_by, r.order_size_pct, r.risk_pct, r.take_profit_pct,
       r.stop_loss_pct, r.status, r.status_reason, r.adapter_errors, r.version, r.activated_at, r.created_at,
       r.number, l.last_slot, r.strategy_id, s.owner_id, s.name, v.template, v.parameters, v.symbol, v.timeframe,
       v.timeframe_s, v.version AS strategy_version, s.kind, v.venue, v.market, s.visibility, s.description,
       l.last_run_at, l.last_status, l.last_signal, l.last_signal_at
  FROM strategy_runs r
  JOIN strategies s ON s.id = r.strategy_id
  JOIN strategy_versions v ON v.strategy_id = s.id AND v.version = s.latest_version
  LEFT JOIN strategy_locks l ON l.run_id = r.id;
