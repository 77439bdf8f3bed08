-- Strategies, accounts, runs, limits and what hangs on them: written one by one, read by key.

-- name: insert_strategy
-- Stores a strategy.
INSERT INTO strategies (id, owner_id, name, description, kind, visibility, latest_version)
VALUES (%(id)s, %(owner_id)s, %(name)s, %(description)s, %(kind)s, %(visibility)s, %(version)s);

-- name: insert_strategy_version
-- Stores one version of a strategy.
INSERT INTO strategy_versions (strategy_id, version, name, description, visibility, template, source, parameters, venue,
                               market, symbol, timeframe, timeframe_s)
VALUES (%(id)s, %(version)s, %(name)s, %(description)s, %(visibility)s, %(template)s, %(source)s, %(parameters)s,
        %(venue)s, %(market)s, %(symbol)s, %(timeframe)s, %(timeframe_s)s);

-- name: insert_account
-- Stores an account; its equity curve starts with its balance when something moves it.
INSERT INTO accounts (id, user_id, name, kind, venue, bankroll, balance, used_margin, maker_fee_pct, taker_fee_pct,
                      slippage_pct, participation_pct, max_leverage, max_notional, kill_switch, outage_orders)
VALUES (%(id)s, %(user_id)s, %(name)s, %(kind)s, %(venue)s, %(bankroll)s, %(balance)s, %(used_margin)s,
        %(maker_fee_pct)s, %(taker_fee_pct)s, %(slippage_pct)s, %(participation_pct)s, %(max_leverage)s,
        %(max_notional)s, %(kill_switch)s, %(outage_orders)s);

-- name: insert_run
-- Stores a run; its symbol is that of its strategy's latest version.
INSERT INTO strategy_runs (id, user_id, strategy_id, account_id, symbol, trading_mode, execution_mode, schedule,
                           direction, leverage, margin_mode, position_mode, capital, size_by, order_size_pct,
                           risk_pct, take_profit_pct, stop_loss_pct, trailing_callback_pct,
                           trailing_activation_pct, missing_stop, status, status_reason, adapter_errors,
                           version, activated_at)
SELECT %(id)s, %(user_id)s, s.id, %(account_id)s, v.symbol, %(trading_mode)s, %(execution_mode)s, %(schedule)s,
       %(direction)s, %(leverage)s, %(margin_mode)s, %(position_mode)s, %(capital)s, %(size_by)s,
       %(order_size_pct)s, %(risk_pct)s, %(take_profit_pct)s, %(stop_loss_pct)s,
       %(trailing_callback_pct)s, %(trailing_activation_pct)s, %(missing_stop)s, %(status)s, %(status_reason)s,
       %(adapter_errors)s, %(version)s, %(activated_at)s
  FROM strategies s JOIN strategy_versions v ON v.strategy_id = s.id AND v.version = s.latest_version
 WHERE s.id = %(strategy_id)s;

-- name: insert_lock
-- Makes a run's lease row.
INSERT INTO strategy_locks (run_id, last_slot, ticked_slot, previous_slot)
VALUES (%(run_id)s, %(last_slot)s, %(last_slot)s, %(last_slot)s);

-- name: put_limits
-- Sets a user's own limits.
INSERT INTO risk_limits (user_id, daily_max_loss_usdt, max_trades_per_day, max_consecutive_losses,
                         cooldown_after_trade_s, pause_duration_min)
VALUES (%(user_id)s, %(daily_max_loss_usdt)s, %(max_trades_per_day)s, %(max_consecutive_losses)s,
        %(cooldown_after_trade_s)s, %(pause_duration_min)s)
ON CONFLICT (user_id) DO UPDATE
   SET daily_max_loss_usdt = excluded.daily_max_loss_usdt, max_trades_per_day = excluded.max_trades_per_day,
       max_consecutive_losses = excluded.max_consecutive_losses,
       cooldown_after_trade_s = excluded.cooldown_after_trade_s,
       pause_duration_min = excluded.pause_duration_min;

-- name: strategy
-- A strategy in its latest version.
SELECT s.id, s.owner_id, s.name, s.description, s.kind, s.visibility, v.version, v.template, v.source, v.parameters, v.venue,
       v.market, v.symbol, v.timeframe
  FROM strategies s JOIN strategy_versions v ON v.strategy_id = s.id AND v.version = s.latest_version
 WHERE s.id = %(id)s;

-- name: account
-- An account.
SELECT * FROM accounts WHERE id = %(id)s;

-- name: accounts_by_id
-- Accounts.
SELECT * FROM accounts WHERE id = ANY(%(ids)s);

-- name: account_for_share
-- An account whose switch and limits cannot change before this transaction ends.
SELECT * FROM accounts WHERE id = %(id)s FOR SHARE;

-- name: account_for_update
-- An account whose money this transaction is going to write.
SELECT * FROM accounts WHERE id = %(id)s FOR NO KEY UPDATE;

-- name: run
-- A run with its strategy.
SELECT * FROM run_rows WHERE id = %(id)s;

-- name: lock_run
-- Locks a run's row.
SELECT FROM strategy_runs WHERE id = %(id)s FOR NO KEY UPDATE;

-- name: runs
-- Runs by status and user, oldest first.
SELECT * FROM run_rows
 WHERE (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s)) AND
       (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
 ORDER BY number;

-- name: change_mark
-- What is committed, for who wants to know later what has been committed since.
SELECT pg_current_snapshot()::text;

-- name: runs_changed
-- Runs changed by whoever had not committed at a mark, they or their strategies, oldest first.
WITH since AS MATERIALIZED (
    SELECT given.mark, pg_snapshot_xmin(given.mark) AS first FROM (SELECT %(mark)s::text::pg_snapshot) AS given (mark)
), changed AS (
    SELECT r.id FROM strategy_runs r, since
     WHERE r.changed_by >= since.first AND NOT pg_visible_in_snapshot(r.changed_by, since.mark)
    UNION
    SELECT r.id FROM strategies s JOIN strategy_runs r ON r.strategy_id = s.id, since
     WHERE s.changed_by >= since.first AND NOT pg_visible_in_snapshot(s.changed_by, since.mark)
)
SELECT * FROM run_rows WHERE id IN (SELECT id FROM changed) ORDER BY number;

-- name: save_run_status
-- Status, reason and counter of a run; the row's version rises.
UPDATE strategy_runs
   SET status = %(status)s, status_reason = %(status_reason)s, adapter_errors = %(adapter_errors)s,
       activated_at = %(activated_at)s, version = version + 1, ending = ending AND %(status)s <> 'active'
 WHERE id = %(id)s;

-- name: append_event
-- Appends an event; its number comes from the locked counter.
INSERT INTO strategy_events (user_id, run_id, type, at, payload)
VALUES (%(user_id)s, %(run_id)s, %(type)s, %(at)s, %(payload)s);

-- name: events_horizon
-- The id up to which no event is still to be committed; to be read before the events, in its own statement.
SELECT events_horizon();

-- name: events_after
-- Events in id order after one.
SELECT id, user_id, run_id, seq, type, at, payload FROM strategy_events
 WHERE id > %(after_id)s AND id <= %(horizon)s AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
   AND (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s)
 ORDER BY id LIMIT %(limit)s;

-- name: events_newest
-- The last events, newest first.
SELECT id, user_id, run_id, seq, type, at, payload FROM strategy_events
 WHERE id > %(after_id)s AND id <= %(horizon)s AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
   AND (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s)
 ORDER BY id DESC LIMIT %(limit)s;

-- name: adapter_causes
-- What a run's last three adapter errors were, newest first.
SELECT payload FROM strategy_events
 WHERE run_id = %(run_id)s AND type = 'error' AND payload ->> 'source' = 'adapter' ORDER BY id DESC LIMIT 3;
