-- Accounts and risk limits as their owners see and change them.

-- name: portfolios_of
-- A user's paper accounts or connections, newest first, after a cursor; removed ones are not there.
SELECT a.* FROM accounts a
 WHERE a.user_id = %(user_id)s AND a.removed_at IS NULL AND (%(kind)s::text IS NULL OR a.kind = %(kind)s)
   AND (%(before_at)s::timestamptz IS NULL OR (a.created_at, a.id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY a.created_at DESC, a.id DESC LIMIT %(limit)s;

-- name: portfolio
-- One account of a user.
SELECT a.* FROM accounts a
 WHERE a.id = %(account_id)s AND a.user_id = %(user_id)s AND a.removed_at IS NULL
   AND (%(kind)s::text IS NULL OR a.kind = %(kind)s);

-- name: lock_portfolio
-- A user's paper account, which no run can begin on before this transaction ends.
SELECT id FROM accounts
 WHERE id = %(account_id)s AND user_id = %(user_id)s AND kind = 'portfolio' AND removed_at IS NULL FOR UPDATE;

-- name: lock_user_portfolios
-- One addition of a user's at a time, so that their number is what was counted.
SELECT pg_advisory_xact_lock(1263094606, hashtext(%(user_id)s));

-- name: count_portfolios
-- How many paper accounts a user has.
SELECT count(*) FROM accounts WHERE user_id = %(user_id)s AND kind = 'portfolio' AND removed_at IS NULL;

-- name: rename_portfolio
-- Gives a user's paper account another name.
UPDATE accounts SET name = %(name)s
 WHERE id = %(account_id)s AND user_id = %(user_id)s AND kind = 'portfolio' AND removed_at IS NULL;

-- name: account_trades
-- Booked round trips of an account, newest first, after a cursor.
SELECT * FROM trades
 WHERE account_id = %(account_id)s AND user_id = %(user_id)s
   AND (%(before_at)s::timestamptz IS NULL OR (exit_time, id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY exit_time DESC, id DESC LIMIT %(limit)s;

-- name: account_equity
-- An account's equity points, newest first, before an instant and a number.
SELECT id, at, balance FROM equity_points
 WHERE account_id = %(account_id)s
   AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
   AND (%(before_at)s::timestamptz IS NULL OR (at, id) < (%(before_at)s, %(before_id)s))
 ORDER BY at DESC, id DESC LIMIT %(limit)s;

-- name: account_totals
-- What the booked round trips of an account come to.
SELECT count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS won, coalesce(sum(pnl), 0) AS pnl,
       coalesce(sum(fees), 0) AS fees
  FROM trades WHERE account_id = %(account_id)s;

-- name: ceiling
-- What an administrator set for a user.
SELECT daily_max_loss_usdt, max_trades_per_day, max_consecutive_losses, cooldown_after_trade_s, pause_duration_min
  FROM risk_ceilings WHERE user_id = %(user_id)s;

-- name: put_ceiling
-- Sets what a user may have at most.
INSERT INTO risk_ceilings (user_id, daily_max_loss_usdt, max_trades_per_day, max_consecutive_losses,
                           cooldown_after_trade_s, pause_duration_min, set_by)
VALUES (%(user_id)s, %(daily_max_loss_usdt)s, %(max_trades_per_day)s, %(max_consecutive_losses)s,
        %(cooldown_after_trade_s)s, %(pause_duration_min)s, %(set_by)s)
ON CONFLICT (user_id) DO UPDATE
   SET daily_max_loss_usdt = excluded.daily_max_loss_usdt, max_trades_per_day = excluded.max_trades_per_day,
       max_consecutive_losses = excluded.max_consecutive_losses,
       cooldown_after_trade_s = excluded.cooldown_after_trade_s,
       pause_duration_min = excluded.pause_duration_min, set_by = excluded.set_by, set_at = clock_timestamp();
