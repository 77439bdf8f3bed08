-- Orders, fills, positions, trades, equity and risk.

-- name: order
-- An order.
SELECT client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
       reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct, take_profit_pct,
       trailing_callback_pct, trailing_activation_pct, fence,
       sign_ts, created_at, status, filled_quantity, filled_value, venue_order_id, reason, reserved
  FROM orders WHERE client_order_id = %(client_order_id)s;

-- name: order_for_update
-- An order, locked.
SELECT client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
       reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct, take_profit_pct,
       trailing_callback_pct, trailing_activation_pct, fence,
       sign_ts, created_at, status, filled_quantity, filled_value, venue_order_id, reason, reserved
  FROM orders WHERE client_order_id = %(client_order_id)s FOR UPDATE;

-- name: leg_orders
-- Every order of a leg, in order of attempt.
SELECT client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
       reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct, take_profit_pct,
       trailing_callback_pct, trailing_activation_pct, fence,
       sign_ts, created_at, status, filled_quantity, filled_value, venue_order_id, reason, reserved
  FROM orders WHERE run_id = %(run_id)s AND slot = %(slot)s AND leg = %(leg)s ORDER BY attempt;

-- name: open_orders
-- Orders whose fate is open, oldest first.
SELECT client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
       reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct, take_profit_pct,
       trailing_callback_pct, trailing_activation_pct, fence,
       sign_ts, created_at, status, filled_quantity, filled_value, venue_order_id, reason, reserved
  FROM orders
 WHERE status IN ('intent', 'submitted', 'partial', 'unknown')
   AND (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s)
   AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
 ORDER BY number;

-- name: run_orders
-- A run's last orders, newest first.
SELECT client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
       reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct, take_profit_pct,
       trailing_callback_pct, trailing_activation_pct, fence,
       sign_ts, created_at, status, filled_quantity, filled_value, venue_order_id, reason, reserved
  FROM orders WHERE run_id = %(run_id)s ORDER BY number DESC LIMIT %(limit)s;

-- name: open_orders_of
-- Orders of these runs whose fate is open, oldest first.
SELECT client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
       reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct, take_profit_pct,
       trailing_callback_pct, trailing_activation_pct, fence,
       sign_ts, created_at, status, filled_quantity, filled_value, venue_order_id, reason, reserved
  FROM orders
 WHERE status IN ('intent', 'submitted', 'partial', 'unknown') AND run_id = ANY(%(run_ids)s)
 ORDER BY number;

-- name: recent_orders
-- The last orders of each of these runs, newest first.
SELECT o.client_order_id, o.run_id, o.user_id, o.account_id, o.symbol, o.slot, o.leg, o.attempt, o.side, o.kind,
       o.quantity, o.reference_price, o.reduce_only, o.leverage, o.price, o.stop_loss, o.take_profit,
       o.stop_loss_pct, o.take_profit_pct, o.trailing_callback_pct, o.trailing_activation_pct,
       o.fence, o.sign_ts, o.created_at, o.status, o.filled_quantity,
       o.filled_value, o.venue_order_id, o.reason, o.reserved
  FROM unnest(%(run_ids)s::uuid[]) AS given (id)
 CROSS JOIN LATERAL (SELECT * FROM orders r WHERE r.run_id = given.id ORDER BY r.number DESC LIMIT %(limit)s) o
 ORDER BY o.number DESC;

-- name: has_open_orders
-- Whether any order of a run is not terminal.
SELECT EXISTS (SELECT FROM orders WHERE run_id = %(run_id)s
                  AND status IN ('intent', 'submitted', 'partial', 'unknown'));

-- name: unknown_orders
-- How many orders on an account and symbol have an unknown outcome.
SELECT count(*) FROM orders WHERE account_id = %(account_id)s AND symbol = %(symbol)s AND status = 'unknown';

-- name: insert_order
-- Stores an order, with why.
INSERT INTO orders (client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
                    reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct,
                    take_profit_pct, trailing_callback_pct, trailing_activation_pct, fence, sign_ts,
                    created_at, status, filled_quantity, filled_value,
                    venue_order_id, reason, reserved, why)
VALUES (%(client_order_id)s, %(run_id)s, %(user_id)s, %(account_id)s, %(symbol)s, %(slot)s, %(leg)s, %(attempt)s,
        %(side)s, %(kind)s, %(quantity)s, %(reference_price)s, %(reduce_only)s, %(leverage)s, %(price)s,
        %(stop_loss)s, %(take_profit)s, %(stop_loss_pct)s, %(take_profit_pct)s,
        %(trailing_callback_pct)s, %(trailing_activation_pct)s, %(fence)s, %(sign_ts)s,
        %(created_at)s, %(status)s, %(filled_quantity)s, %(filled_value)s, %(venue_order_id)s, %(reason)s,
        %(reserved)s, %(why)s);

-- name: save_order
-- An order's life; what it asks for is not touched.
UPDATE orders
   SET status = %(status)s, filled_quantity = %(filled_quantity)s, filled_value = %(filled_value)s,
       venue_order_id = %(venue_order_id)s, reason = %(reason)s, reserved = %(reserved)s, updated_at = runner_now()
 WHERE client_order_id = %(client_order_id)s;

-- name: may_send
-- What is re-read before the first byte leaves: the orders, whether their leases are held, whether a switch is on.
SELECT o.client_order_id, o.status, o.fence, coalesce((o.why->>'passes_switch')::boolean, false) AS passes_switch,
       EXISTS (SELECT FROM strategy_locks l WHERE l.run_id = o.run_id AND l.fence = o.fence
                  AND clock_timestamp() < l.locked_until) AS lease_holds,
       p.kill_switch OR a.kill_switch AS switched_off
  FROM orders o JOIN accounts a ON a.id = o.account_id CROSS JOIN platform_settings p
 WHERE o.client_order_id = ANY(%(ids)s);

-- name: fill_known
-- Whether a fill or funding is stored.
SELECT EXISTS (SELECT FROM fills
                WHERE account_id = %(account_id)s AND symbol = %(symbol)s AND trade_id = %(trade_id)s);

-- name: insert_fill
-- Stores a fill or funding, once.
INSERT INTO fills (account_id, symbol, trade_id, client_order_id, run_id, user_id, side, quantity, price,
                   commission, maker, executed_at, realised)
VALUES (%(account_id)s, %(symbol)s, %(trade_id)s, %(client_order_id)s, %(run_id)s, %(user_id)s, %(side)s,
        %(quantity)s, %(price)s, %(commission)s, %(maker)s, %(executed_at)s, %(realised)s)
ON CONFLICT (account_id, symbol, trade_id) DO NOTHING;

-- name: position_for_update
-- A run's position, locked.
SELECT * FROM positions WHERE run_id = %(run_id)s FOR UPDATE;

-- name: position
-- A run's position.
SELECT * FROM positions WHERE run_id = %(run_id)s;

-- name: open_positions
-- Positions that are not flat.
SELECT * FROM positions
 WHERE quantity <> 0 AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
   AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
 ORDER BY run_id;

-- name: save_position
-- A position as it now is.
INSERT INTO positions (run_id, user_id, account_id, symbol, leverage, quantity, open_cost, opened_at,
                       entered_quantity, entered_value, exited_quantity, exited_value, realised_gross, fees,
                       funding, stop_loss, take_profit, trail_pct, trail_from, trail_best,
                       standing_stop, standing_target, standing_trail, drift, updated_at)
VALUES (%(run_id)s, %(user_id)s, %(account_id)s, %(symbol)s, %(leverage)s, %(quantity)s, %(open_cost)s,
        %(opened_at)s, %(entered_quantity)s, %(entered_value)s, %(exited_quantity)s, %(exited_value)s,
        %(realised_gross)s, %(fees)s, %(funding)s, %(stop_loss)s, %(take_profit)s, %(trail_pct)s,
        %(trail_from)s, %(trail_best)s, %(standing_stop)s, %(standing_target)s, %(standing_trail)s, %(drift)s,
        %(updated_at)s)
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

-- name: insert_trade
-- Books a round trip.
INSERT INTO trades (run_id, user_id, account_id, symbol, side, quantity, entry_time, entry_price, exit_time,
                    exit_price, fees, funding, pnl, exit_reason)
VALUES (%(run_id)s, %(user_id)s, %(account_id)s, %(symbol)s, %(side)s, %(quantity)s, %(entry_time)s,
        %(entry_price)s, %(exit_time)s, %(exit_price)s, %(fees)s, %(funding)s, %(pnl)s, %(exit_reason)s);

-- name: trades
-- Booked round trips, newest first.
SELECT * FROM trades WHERE %(run_id)s::uuid IS NULL OR run_id = %(run_id)s ORDER BY number DESC LIMIT %(limit)s;

-- name: save_account_money
-- An account's money and outage counter.
UPDATE accounts SET balance = %(balance)s, used_margin = %(used_margin)s, outage_orders = %(outage_orders)s
 WHERE id = %(id)s;

-- name: insert_equity_point
-- A point of the equity curve.
INSERT INTO equity_points (account_id, at, balance) VALUES (%(account_id)s, %(at)s, %(balance)s);

-- name: equity
-- An account's last equity points, newest first.
SELECT account_id, at, balance FROM equity_points
 WHERE account_id = %(account_id)s ORDER BY at DESC, id DESC LIMIT %(limit)s;

-- name: make_risk_user
-- Makes a user's risk row.
INSERT INTO risk_users (user_id) VALUES (%(user_id)s) ON CONFLICT DO NOTHING;

-- name: risk_user_for_update
-- A user's risk, locked.
SELECT streak, last_trade_at, paused_until, paused_reason FROM risk_users WHERE user_id = %(user_id)s
   FOR NO KEY UPDATE;

-- name: risk_user
-- A user's risk.
SELECT streak, last_trade_at, paused_until, paused_reason FROM risk_users WHERE user_id = %(user_id)s;

-- name: risk_days
-- Days of a user.
SELECT day, realized_pnl_usdt, trades_count FROM risk_days WHERE user_id = %(user_id)s AND day = ANY(%(days)s);

-- name: limits
-- A user's own limits.
SELECT daily_max_loss_usdt, max_trades_per_day, max_consecutive_losses, cooldown_after_trade_s, pause_duration_min
  FROM risk_limits WHERE user_id = %(user_id)s;

-- name: note_simulated
-- Notes that a simulated trade is booked, once; some that nobody can repeat any more are forgotten with it.
WITH forgotten AS (
    DELETE FROM simulated_trades WHERE id IN (
        SELECT id FROM simulated_trades WHERE booked_at < clock_timestamp() - interval '2 days'
         ORDER BY booked_at LIMIT 20 FOR UPDATE SKIP LOCKED)
)
INSERT INTO simulated_trades (id, user_id) VALUES (%(id)s, %(user_id)s) ON CONFLICT DO NOTHING;

-- name: save_risk_user
-- A user's risk as it now is.
UPDATE risk_users SET streak = %(streak)s, last_trade_at = %(last_trade_at)s, paused_until = %(paused_until)s,
       paused_reason = %(paused_reason)s
 WHERE user_id = %(user_id)s;

-- name: save_risk_day
-- A day of a user as it now is.
INSERT INTO risk_days (user_id, day, realized_pnl_usdt, trades_count)
VALUES (%(user_id)s, %(day)s, %(pnl)s, %(trades)s)
ON CONFLICT (user_id, day) DO UPDATE
   SET realized_pnl_usdt = excluded.realized_pnl_usdt, trades_count = excluded.trades_count;

-- name: expired_pauses
-- Users whose pause has run out and is not yet written as expired.
SELECT user_id FROM risk_users WHERE paused_until <= (SELECT runner_now()) ORDER BY user_id;

-- name: lease_holds
-- Locks a lease row and tells whether it is held under this fence.
SELECT lease_holds(%(run_id)s, %(fence)s);
