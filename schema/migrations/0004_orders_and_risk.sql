-- Money: orders and their life, fills, positions, round trips, a user's limits and days.

CREATE TABLE orders (
    client_order_id text PRIMARY KEY CHECK (client_order_id ~ '^[A-Za-z0-9_-]{1,36}$'),
    number bigint GENERATED ALWAYS AS IDENTITY,
    run_id uuid NOT NULL REFERENCES strategy_runs (id),
    user_id text NOT NULL,
    account_id uuid NOT NULL,
    symbol text NOT NULL,
    slot timestamptz NOT NULL,
    leg text NOT NULL CHECK (leg IN ('exit', 'entry', 'flatten', 'repair', 'take_profit', 'stop_loss',
                                     'liquidation', 'manual')),
    attempt integer NOT NULL CHECK (attempt >= 1),
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    kind text NOT NULL CHECK (kind IN ('market', 'limit')),
    quantity numeric NOT NULL CHECK (quantity > 0 AND quantity < 'Infinity'),
    reference_price numeric NOT NULL CHECK (reference_price >= 0 AND reference_price < 'Infinity'),
    reduce_only boolean NOT NULL,
    leverage integer NOT NULL CHECK (leverage >= 1),
    price numeric CHECK (price > 0),
    stop_loss numeric CHECK (stop_loss > 0),
    take_profit numeric CHECK (take_profit > 0),
    stop_loss_pct numeric CHECK (stop_loss_pct > 0),
    take_profit_pct numeric CHECK (take_profit_pct > 0),
    fence bigint NOT NULL,
    sign_ts timestamptz,
    created_at timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('intent', 'submitted', 'partial', 'filled', 'canceled', 'expired',
                                           'rejected', 'not_placed', 'unknown')),
    filled_quantity numeric NOT NULL DEFAULT 0 CHECK (filled_quantity >= 0),
    filled_value numeric NOT NULL DEFAULT 0 CHECK (filled_value >= 0 AND filled_value < 'Infinity'),
    venue_order_id text,
    reason text,
    reserved boolean NOT NULL DEFAULT false,
    why jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT runner_now(),
    FOREIGN KEY (account_id, user_id) REFERENCES accounts (id, user_id),
    UNIQUE (run_id, slot, leg, attempt),
    CONSTRAINT orders_filled_at_most_ordered CHECK (filled_quantity <= quantity),
    CONSTRAINT orders_only_entries_reserve CHECK (NOT reserved OR leg = 'entry'),
    CONSTRAINT orders_exits_reduce CHECK (reduce_only OR leg NOT IN ('exit', 'flatten', 'repair')),
    CONSTRAINT orders_limit_has_price CHECK (kind <> 'limit' OR price IS NOT NULL)
) WITH (fillfactor = 70);
-- At most one live intent per (run, slot, leg) (I1).
CREATE UNIQUE INDEX orders_one_live_per_leg ON orders (run_id, slot, leg)
    WHERE status IN ('intent', 'submitted', 'partial', 'unknown');
CREATE INDEX orders_live_by_account ON orders (account_id, symbol)
    WHERE status IN ('intent', 'submitted', 'partial', 'unknown');
CREATE INDEX orders_by_run ON orders (run_id, number);

-- The table of core/order.py (decision 19). What was sent to a venue never changes afterwards.
CREATE FUNCTION guard_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.leg IN ('entry', 'exit', 'flatten', 'repair') AND
           (NEW.status <> 'intent' OR NEW.filled_quantity <> 0 OR NEW.sign_ts IS NULL) THEN
            RAISE EXCEPTION 'an order of ours begins as an unfilled intent with sign_ts'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NEW.leg IN ('entry', 'exit', 'flatten', 'repair') AND
           NEW.fence IS DISTINCT FROM (SELECT fence FROM strategy_locks WHERE run_id = NEW.run_id) THEN
            RAISE EXCEPTION 'fence % of order % is not the current one', NEW.fence, NEW.client_order_id
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.client_order_id, NEW.run_id, NEW.user_id, NEW.account_id, NEW.symbol, NEW.slot, NEW.leg, NEW.attempt,
        NEW.side, NEW.kind, NEW.quantity, NEW.reduce_only, NEW.price, NEW.fence, NEW.sign_ts, NEW.created_at)
       IS DISTINCT FROM
       (OLD.client_order_id, OLD.run_id, OLD.user_id, OLD.account_id, OLD.symbol, OLD.slot, OLD.leg, OLD.attempt,
        OLD.side, OLD.kind, OLD.quantity, OLD.reduce_only, OLD.price, OLD.fence, OLD.sign_ts, OLD.created_at) THEN
        RAISE EXCEPTION 'what order % asks for never changes', OLD.client_order_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.filled_quantity < OLD.filled_quantity OR NEW.filled_value < OLD.filled_value THEN
        RAISE EXCEPTION 'what order % filled never falls', OLD.client_order_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status <> OLD.status AND OLD.status <> 'unknown' AND (OLD.status, NEW.status) NOT IN (
        ('intent', 'submitted'), ('intent', 'partial'), ('intent', 'filled'), ('intent', 'rejected'),
        ('intent', 'not_placed'), ('intent', 'unknown'),
        ('submitted', 'partial'), ('submitted', 'filled'), ('submitted', 'canceled'), ('submitted', 'expired'),
        ('submitted', 'rejected'), ('submitted', 'unknown'),
        ('partial', 'filled'), ('partial', 'canceled'), ('partial', 'expired'), ('partial', 'unknown')) THEN
        RAISE EXCEPTION 'order % is % and cannot become %', OLD.client_order_id, OLD.status, NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.status = 'unknown' AND NEW.status = 'intent' THEN
        RAISE EXCEPTION 'order % may have been sent and is no intent again', OLD.client_order_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_guard BEFORE INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION guard_order();
CREATE TRIGGER orders_stay BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Executions, and funding (no order, quantity 0 allowed).
CREATE TABLE fills (
    account_id uuid NOT NULL REFERENCES accounts (id),
    symbol text NOT NULL,
    trade_id text NOT NULL,
    client_order_id text REFERENCES orders (client_order_id),
    run_id uuid NOT NULL REFERENCES strategy_runs (id),
    user_id text NOT NULL,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity numeric NOT NULL CHECK (quantity >= 0 AND quantity < 'Infinity'),
    price numeric NOT NULL CHECK (price >= 0 AND price < 'Infinity'),
    commission numeric NOT NULL CHECK (commission > '-Infinity' AND commission < 'Infinity'),
    maker boolean NOT NULL,
    executed_at timestamptz NOT NULL,
    realised numeric NOT NULL CHECK (realised > '-Infinity' AND realised < 'Infinity'),
    stored_at timestamptz NOT NULL DEFAULT runner_now(),
    PRIMARY KEY (account_id, symbol, trade_id),
    CHECK (client_order_id IS NULL OR (quantity > 0 AND price > 0))
);
CREATE INDEX fills_by_run ON fills (run_id, executed_at);
CREATE TRIGGER fills_append_only BEFORE UPDATE OR DELETE ON fills
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE positions (
    run_id uuid PRIMARY KEY REFERENCES strategy_runs (id),
    user_id text NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts (id),
    symbol text NOT NULL,
    leverage integer NOT NULL CHECK (leverage >= 1),
    quantity numeric NOT NULL,
    open_cost numeric NOT NULL CHECK (open_cost >= 0),
    opened_at timestamptz,
    entered_quantity numeric NOT NULL,
    entered_value numeric NOT NULL,
    exited_quantity numeric NOT NULL,
    exited_value numeric NOT NULL,
    realised_gross numeric NOT NULL,
    fees numeric NOT NULL,
    funding numeric NOT NULL,
    stop_loss numeric,
    take_profit numeric,
    updated_at timestamptz NOT NULL,
    CHECK ((quantity = 0) = (opened_at IS NULL)),
    CHECK (quantity <> 0 OR open_cost = 0),
    CHECK (exited_quantity <= entered_quantity)
) WITH (fillfactor = 70);
CREATE INDEX positions_open_by_account ON positions (account_id) WHERE quantity <> 0;
CREATE INDEX positions_open_by_user ON positions (user_id) WHERE quantity <> 0;

CREATE TABLE trades (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number bigint GENERATED ALWAYS AS IDENTITY,
    run_id uuid NOT NULL REFERENCES strategy_runs (id),
    user_id text NOT NULL,
    account_id uuid NOT NULL REFERENCES accounts (id),
    symbol text NOT NULL,
    side text NOT NULL CHECK (side IN ('long', 'short')),
    quantity numeric NOT NULL CHECK (quantity > 0),
    entry_time timestamptz NOT NULL,
    entry_price numeric NOT NULL CHECK (entry_price > 0),
    exit_time timestamptz NOT NULL,
    exit_price numeric NOT NULL CHECK (exit_price > 0),
    fees numeric NOT NULL,
    funding numeric NOT NULL,
    pnl numeric NOT NULL,
    exit_reason text NOT NULL
);
CREATE INDEX trades_by_run ON trades (run_id, number) INCLUDE (pnl);
CREATE INDEX trades_by_number ON trades (number);
CREATE TRIGGER trades_append_only BEFORE UPDATE OR DELETE ON trades
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE risk_limits (
    user_id text PRIMARY KEY,
    daily_max_loss_usdt numeric NOT NULL CHECK (daily_max_loss_usdt > 0 AND daily_max_loss_usdt < 'Infinity'),
    max_trades_per_day integer NOT NULL CHECK (max_trades_per_day >= 0),
    max_consecutive_losses integer NOT NULL CHECK (max_consecutive_losses >= 1),
    cooldown_after_trade_s numeric NOT NULL
        CHECK (cooldown_after_trade_s >= 0 AND cooldown_after_trade_s < 'Infinity'),
    pause_duration_min numeric NOT NULL CHECK (pause_duration_min >= 1 AND pause_duration_min < 'Infinity')
);

CREATE TABLE risk_days (
    user_id text NOT NULL REFERENCES risk_users (user_id),
    day date NOT NULL,
    realized_pnl_usdt numeric NOT NULL CHECK (realized_pnl_usdt > '-Infinity' AND realized_pnl_usdt < 'Infinity'),
    trades_count integer NOT NULL CHECK (trades_count >= 0),
    PRIMARY KEY (user_id, day)
) WITH (fillfactor = 70);

-- A day beside what its user carries from day to day.
CREATE VIEW strategy_risk_state AS
SELECT d.user_id, d.day, d.realized_pnl_usdt, d.trades_count, u.streak AS consecutive_losses, u.paused_until,
       u.paused_reason, u.last_trade_at, coalesce((SELECT runner_now()) < u.paused_until, false) AS is_paused
  FROM risk_days d JOIN risk_users u ON u.user_id = d.user_id;
