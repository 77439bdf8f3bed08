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

-- name: ask_flattens
-- A request for each position that is named, open or about to be by an entry on its way, and has none under way; an
-- operator makes an owner's their own.
INSERT INTO flattens AS f (id, run_id, user_id, account_id, symbol, asked_by, by_operator)
SELECT DISTINCT ON (n.run_id) gen_random_uuid(), n.run_id, n.user_id, n.account_id, n.symbol, %(by)s, %(by_operator)s
  FROM (SELECT run_id, user_id, account_id, symbol FROM positions WHERE quantity <> 0
        UNION ALL
        SELECT run_id, user_id, account_id, symbol FROM orders
         WHERE status IN ('intent', 'submitted', 'partial', 'unknown') AND leg = 'entry') n
 WHERE (%(run_id)s::uuid IS NULL OR n.run_id = %(run_id)s)
   AND (%(user_id)s::text IS NULL OR n.user_id = %(user_id)s)
   AND (%(account_id)s::uuid IS NULL OR n.account_id = %(account_id)s)
 ORDER BY n.run_id
ON CONFLICT (run_id) WHERE ended_at IS NULL DO UPDATE SET asked_by = excluded.asked_by, by_operator = true
 WHERE excluded.by_operator AND NOT f.by_operator
RETURNING run_id, user_id, symbol;

-- name: flattens_asked
-- Requests under way for what is named.
SELECT * FROM flattens
 WHERE ended_at IS NULL AND (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s)
   AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
   AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
 ORDER BY asked_at, run_id;

-- name: open_flattens
-- Requests under way, oldest first.
SELECT * FROM flattens WHERE ended_at IS NULL ORDER BY asked_at, run_id LIMIT %(limit)s;

-- name: latest_flattens
-- The latest requests, newest first.
SELECT * FROM flattens ORDER BY asked_at DESC, run_id LIMIT %(limit)s;

-- name: end_flatten
-- Ends a request, once.
UPDATE flattens SET ended_at = runner_now(), outcome = %(outcome)s WHERE id = %(id)s AND ended_at IS NULL
RETURNING run_id, user_id, symbol;
