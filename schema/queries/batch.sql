-- A batch of ledger operations: rows locked and loaded together, then written together.

-- name: order_places
-- Whose orders these are, and which legs they belong to; none of it ever changes.
SELECT client_order_id, run_id, user_id, account_id, slot, leg FROM orders WHERE client_order_id = ANY(%(ids)s);

-- name: run_owners
-- Whose runs these are.
SELECT id, user_id FROM strategy_runs WHERE id = ANY(%(ids)s);

-- name: lock_leases
-- Locks leases in order; whether they have run out is judged by the clock read last.
SELECT run_id, fence, greatest(locked_until, to_timestamp(0)) AS locked_until FROM strategy_locks
 WHERE run_id = ANY(%(run_ids)s) ORDER BY run_id FOR UPDATE;

-- name: lock_runs
-- Locks runs, and with them their event counters, in order of user and run.
SELECT FROM strategy_runs WHERE id = ANY(%(run_ids)s) ORDER BY user_id, id FOR NO KEY UPDATE;

-- name: accounts_for_share
-- Accounts whose switch and limits cannot change before this transaction ends.
SELECT * FROM accounts WHERE id = ANY(%(ids)s) ORDER BY id FOR SHARE;

-- name: accounts_for_update
-- Accounts whose money this transaction is going to write.
SELECT * FROM accounts WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE;

-- name: make_risk_users
-- Makes the risk rows that users still lack.
INSERT INTO risk_users (user_id) SELECT given FROM unnest(%(user_ids)s::text[]) AS given ORDER BY given
ON CONFLICT DO NOTHING;

-- name: risk_users_for_update
-- Risk of users, locked in order.
SELECT user_id, streak, last_trade_at, paused_until, paused_reason FROM risk_users
 WHERE user_id = ANY(%(user_ids)s) ORDER BY user_id FOR NO KEY UPDATE;

-- name: legs_for_update
-- Every order of these legs, locked.
SELECT o.client_order_id, o.run_id, o.user_id, o.account_id, o.symbol, o.slot, o.leg, o.attempt, o.side, o.kind,
       o.quantity, o.reference_price, o.reduce_only, o.leverage, o.price, o.stop_loss, o.take_profit,
       o.stop_loss_pct, o.take_profit_pct, o.trailing_callback_pct, o.trailing_activation_pct,
       o.fence, o.sign_ts, o.created_at, o.status, o.filled_quantity,
       o.filled_value, o.venue_order_id, o.reason, o.reserved
  FROM orders o
  JOIN (SELECT DISTINCT * FROM unnest(%(run_ids)s::uuid[], %(slots)s::timestamptz[], %(legs)s::text[])) AS given
       (run_id, slot, leg) USING (run_id, slot, leg)
 ORDER BY o.client_order_id FOR UPDATE OF o;

-- name: positions_for_update
-- Positions of runs, locked in order.
SELECT * FROM positions WHERE run_id = ANY(%(run_ids)s) ORDER BY run_id FOR UPDATE;

-- name: runs_by_id
-- Runs with their strategies.
SELECT * FROM run_rows WHERE id = ANY(%(run_ids)s);

-- name: limits_of_users
-- Limits that users have of their own.
SELECT user_id, daily_max_loss_usdt, max_trades_per_day, max_consecutive_losses, cooldown_after_trade_s,
       pause_duration_min
  FROM risk_limits WHERE user_id = ANY(%(user_ids)s);

-- name: risk_days_of_users
-- Days of users from one on, yesterday's and today's always.
SELECT user_id, day, realized_pnl_usdt, trades_count FROM risk_days
 WHERE user_id = ANY(%(user_ids)s) AND day >= least(%(since)s::date, (SELECT (runner_now() AT TIME ZONE 'UTC')::date - 1));

-- name: live_orders_of_accounts
-- Orders of accounts whose fate is open, oldest first.
SELECT client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
       reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct, take_profit_pct,
       trailing_callback_pct, trailing_activation_pct, fence,
       sign_ts, created_at, status, filled_quantity, filled_value, venue_order_id, reason, reserved
  FROM orders
 WHERE status IN ('intent', 'submitted', 'partial', 'unknown') AND account_id = ANY(%(ids)s)
 ORDER BY number;

-- name: fills_known
-- Which of these fills are stored.
SELECT account_id, symbol, trade_id FROM fills
  JOIN unnest(%(account_ids)s::uuid[], %(symbols)s::text[], %(trade_ids)s::text[]) AS given
       (account_id, symbol, trade_id) USING (account_id, symbol, trade_id);

-- name: moment
-- Market time and process time.
SELECT runner_now(), clock_timestamp();

-- name: save_orders
-- The life of many orders; what they ask for is not touched.
UPDATE orders o
   SET status = given.status, filled_quantity = given.filled_quantity, filled_value = given.filled_value,
       venue_order_id = given.venue_order_id, reason = given.reason, reserved = given.reserved,
       updated_at = runner_now()
  FROM json_to_recordset(%(rows)s::json)
    AS given (client_order_id text, status text, filled_quantity numeric, filled_value numeric, venue_order_id text,
              reason text, reserved boolean)
 WHERE o.client_order_id = given.client_order_id;

-- name: insert_orders
-- Stores orders, each with why.
INSERT INTO orders (client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
                    reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct,
                    take_profit_pct, trailing_callback_pct, trailing_activation_pct, fence, sign_ts,
                    created_at, status, filled_quantity, filled_value,
                    venue_order_id, reason, reserved, why)
SELECT * FROM json_to_recordset(%(rows)s::json)
    AS given (client_order_id text, run_id uuid, user_id text, account_id uuid, symbol text, slot timestamptz,
              leg text, attempt integer, side text, kind text, quantity numeric, reference_price numeric,
              reduce_only boolean, leverage integer, price numeric, stop_loss numeric, take_profit numeric,
              stop_loss_pct numeric, take_profit_pct numeric,
              trailing_callback_pct numeric, trailing_activation_pct numeric, fence bigint, sign_ts timestamptz,
              created_at timestamptz, status text, filled_quantity numeric, filled_value numeric,
              venue_order_id text, reason text, reserved boolean, why jsonb);

-- name: insert_fills
-- Stores fills and funding; fails when one is there already.
INSERT INTO fills (account_id, symbol, trade_id, client_order_id, run_id, user_id, side, quantity, price,
                   commission, maker, executed_at, realised)
SELECT * FROM json_to_recordset(%(rows)s::json)
    AS given (account_id uuid, symbol text, trade_id text, client_order_id text, run_id uuid, user_id text,
              side text, quantity numeric, price numeric, commission numeric, maker boolean,
              executed_at timestamptz, realised numeric);

-- name: save_positions
-- Positions as they now are, one row a run.
INSERT INTO positions (run_id, user_id, account_id, symbol, leverage, quantity, open_cost, opened_at,
                       entered_quantity, entered_value, exited_quantity, exited_value, realised_gross, fees,
                       funding, stop_loss, take_profit, trail_pct, trail_from, trail_best,
                       standing_stop, standing_target, standing_trail, drift, updated_at)
SELECT * FROM json_to_recordset(%(rows)s::json)
    AS given (run_id uuid, user_id text, account_id uuid, symbol text, leverage integer, quantity numeric,
              open_cost numeric, opened_at timestamptz, entered_quantity numeric, entered_value numeric,
              exited_quantity numeric, exited_value numeric, realised_gross numeric, fees numeric,
              funding numeric, stop_loss numeric, take_profit numeric, trail_pct numeric,
              trail_from numeric, trail_best numeric, standing_stop numeric, standing_target numeric,
              standing_trail numeric, drift numeric, updated_at timestamptz)
ON CONFLICT (run_id) DO UPDATE
   SET symbol = excluded.symbol, leverage = excluded.leverage, quantity = excluded.quantity,
       open_cost = excluded.open_cost, opened_at = excluded.opened_at,
       entered_quantity = excluded.entered_quantity, entered_value = excluded.entered_value,
       exited_quantity = excluded.exited_quantity, exited_value = excluded.exited_value,
       realised_gross = excluded.realised_gross, fees = excluded.fees, funding = excluded.funding,
       stop_loss = excluded.stop_loss, take_profit = excluded.take_profit,
       trail_pct = excluded.trail_pct, trail_from = excluded.trail_from, trail_best = excluded.trail_best,
       standing_stop = excluded.standing_stop, standing_target = excluded.standing_target,
       standing_trail = excluded.standing_trail,
       drift = excluded.drift, updated_at = excluded.updated_at;

-- name: insert_trades
-- Books round trips, in the order given.
INSERT INTO trades (run_id, user_id, account_id, symbol, side, quantity, entry_time, entry_price, exit_time,
                    exit_price, fees, funding, pnl, exit_reason)
SELECT * FROM json_to_recordset(%(rows)s::json)
    AS given (run_id uuid, user_id text, account_id uuid, symbol text, side text, quantity numeric,
              entry_time timestamptz, entry_price numeric, exit_time timestamptz, exit_price numeric,
              fees numeric, funding numeric, pnl numeric, exit_reason text);

-- name: save_accounts_money
-- Money and outage counters of accounts.
UPDATE accounts a
   SET balance = given.balance, used_margin = given.used_margin, outage_orders = given.outage_orders
  FROM json_to_recordset(%(rows)s::json)
    AS given (id uuid, balance numeric, used_margin numeric, outage_orders integer)
 WHERE a.id = given.id;

-- name: insert_equity_points
-- Points of equity curves, in the order given.
INSERT INTO equity_points (account_id, at, balance)
SELECT * FROM json_to_recordset(%(rows)s::json) AS given (account_id uuid, at timestamptz, balance numeric);

-- name: save_risk_users
-- Users' risk as it now is.
UPDATE risk_users u
   SET streak = given.streak, last_trade_at = given.last_trade_at, paused_until = given.paused_until,
       paused_reason = given.paused_reason
  FROM json_to_recordset(%(rows)s::json)
    AS given (user_id text, streak integer, last_trade_at timestamptz, paused_until timestamptz,
              paused_reason text)
 WHERE u.user_id = given.user_id;

-- name: save_risk_days
-- Days of users as they now are.
INSERT INTO risk_days (user_id, day, realized_pnl_usdt, trades_count)
SELECT * FROM json_to_recordset(%(rows)s::json) AS given (user_id text, day date, pnl numeric, trades integer)
ON CONFLICT (user_id, day) DO UPDATE
   SET realized_pnl_usdt = excluded.realized_pnl_usdt, trades_count = excluded.trades_count;

-- name: append_events
-- Appends events in the order given; their numbers come from counters, locked before.
INSERT INTO strategy_events (user_id, run_id, type, at, payload)
SELECT * FROM json_to_recordset(%(rows)s::json)
    AS given (user_id text, run_id uuid, type text, at timestamptz, payload jsonb);
