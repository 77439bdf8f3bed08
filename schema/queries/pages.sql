-- What HTTP and the page ask for.

-- name: strategies_seen_by
-- A user's own strategies and those they have runs of, newest first, after a cursor.
SELECT s.id, s.owner_id, s.name, s.description, s.kind, s.visibility, v.version, v.template, v.source, v.parameters, v.venue,
       v.market, v.symbol, v.timeframe, s.created_at
  FROM strategies s JOIN strategy_versions v ON v.strategy_id = s.id AND v.version = s.latest_version
 WHERE s.archived_at IS NULL
   AND (s.owner_id = %(user_id)s
        OR EXISTS (SELECT FROM strategy_runs r WHERE r.strategy_id = s.id AND r.user_id = %(user_id)s
                      AND r.status <> 'archived'))
   AND (%(before_at)s::timestamptz IS NULL OR (s.created_at, s.id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY s.created_at DESC, s.id DESC LIMIT %(limit)s;

-- name: strategy_seen_by
-- One strategy if the user may see it: own, a run of theirs, or not private.
SELECT s.id, s.owner_id, s.name, s.description, s.kind, s.visibility, v.version, v.template, v.source, v.parameters, v.venue,
       v.market, v.symbol, v.timeframe, s.created_at
  FROM strategies s JOIN strategy_versions v ON v.strategy_id = s.id AND v.version = s.latest_version
 WHERE s.id = %(strategy_id)s AND s.archived_at IS NULL
   AND (s.owner_id = %(user_id)s OR s.visibility <> 'private'
        OR EXISTS (SELECT FROM strategy_runs r WHERE r.strategy_id = s.id AND r.user_id = %(user_id)s));

-- name: watched_by
-- What these users follow on candles: by active runs, and as owners whoever runs it.
SELECT w.user_id, w.run_id, w.strategy_id, v.venue, v.market, v.symbol, v.timeframe
  FROM (SELECT user_id, id AS run_id, strategy_id FROM strategy_runs
         WHERE user_id = ANY(%(user_ids)s) AND status = 'active'
        UNION ALL
        SELECT owner_id, NULL, id FROM strategies WHERE owner_id = ANY(%(user_ids)s) AND archived_at IS NULL) AS w
  JOIN strategies s ON s.id = w.strategy_id
  JOIN strategy_versions v ON v.strategy_id = s.id AND v.version = s.latest_version
 LIMIT %(limit)s;

-- name: run_summaries
-- Runs with their last tick, position and what they realised, oldest first.
SELECT r.*, coalesce(t.closed_pnl, 0) AS closed_pnl, false AS ending
  FROM run_rows r
  LEFT JOIN LATERAL (SELECT sum(pnl) AS closed_pnl FROM trades WHERE trades.run_id = r.id) t ON true
 WHERE (%(user_id)s::text IS NULL OR r.user_id = %(user_id)s)
   AND (%(strategy_ids)s::uuid[] IS NULL OR r.strategy_id = ANY(%(strategy_ids)s))
   AND (%(archived)s OR r.status <> 'archived')
 ORDER BY r.number LIMIT %(limit)s;

-- name: run_summary
-- One run likewise, of a user or of anybody.
SELECT r.*, coalesce(t.closed_pnl, 0) AS closed_pnl, q.ending
  FROM strategy_runs q JOIN run_rows r ON r.id = q.id
  LEFT JOIN LATERAL (SELECT sum(pnl) AS closed_pnl FROM trades WHERE trades.run_id = q.id) t ON true
 WHERE q.id = %(run_id)s AND (%(user_id)s::text IS NULL OR q.user_id = %(user_id)s);

-- name: subscriptions_of
-- A user's subscriptions likewise, newest first, after a cursor.
SELECT r.*, coalesce(t.closed_pnl, 0) AS closed_pnl, q.ending
  FROM strategy_runs q JOIN run_rows r ON r.id = q.id
  LEFT JOIN LATERAL (SELECT sum(pnl) AS closed_pnl FROM trades WHERE trades.run_id = q.id) t ON true
 WHERE q.user_id = %(user_id)s AND q.status <> 'archived' AND (q.subscribed OR r.owner_id <> q.user_id)
   AND (%(before_at)s::timestamptz IS NULL OR (q.created_at, q.id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY q.created_at DESC, q.id DESC LIMIT %(limit)s;

-- name: positions_of
-- Positions of these runs, flat ones too.
SELECT * FROM positions WHERE run_id = ANY(%(run_ids)s);

-- name: subscribers
-- How many users run a strategy.
SELECT count(DISTINCT user_id) FROM strategy_runs WHERE strategy_id = %(strategy_id)s AND status <> 'archived';

-- name: execution_totals
-- How often a strategy was evaluated, and how long that took on average.
SELECT count(*) AS total, avg(duration_ms)::float8 AS average_ms FROM strategy_executions
 WHERE strategy_id = %(strategy_id)s;

-- name: strategy_events_of
-- The last events of a user's runs of a strategy, newest first; each run's newest by its index.
SELECT e.id, e.user_id, e.run_id, e.seq, e.type, e.at, e.payload
  FROM strategy_runs r
 CROSS JOIN LATERAL (SELECT * FROM strategy_events e WHERE e.run_id = r.id ORDER BY e.id DESC LIMIT %(limit)s) e
 WHERE r.strategy_id = %(strategy_id)s AND r.user_id = %(user_id)s
 ORDER BY e.id DESC LIMIT %(limit)s;

-- name: active_counts
-- Active runs and the strategies they are of.
SELECT count(*) AS runs, count(DISTINCT strategy_id) AS strategies FROM strategy_runs WHERE status = 'active';

-- name: active_series
-- Candle series that active runs trade on.
SELECT r.symbol, r.timeframe, count(DISTINCT r.strategy_id) AS strategies, count(*) AS runs
  FROM run_rows r WHERE r.status = 'active' GROUP BY r.symbol, r.timeframe, r.timeframe_s
 ORDER BY r.symbol, r.timeframe_s;

-- name: last_tick
-- The newest tick that was not a missed slot.
SELECT finished_at, status FROM strategy_tick_runs
 WHERE slot >= %(since)s AND status <> 'missed' ORDER BY slot DESC, finished_at DESC LIMIT 1;

-- name: slot_lag
-- How long after its slot a tick was finished, milliseconds, over the ticks since an instant. An operator asks when an
-- operator likes.
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY lag_ms) AS p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY lag_ms) AS p99
  FROM (SELECT greatest(extract(epoch FROM finished_at - slot)::float8 * 1000, 0) AS lag_ms
          FROM strategy_tick_runs
         WHERE slot >= %(since)s AND status IN ('ok', 'blocked') AND source IS DISTINCT FROM 'operator') AS ticks;

-- name: risks_to_judge
-- Users with active runs whose risk could block them; everyone else is open.
SELECT u.user_id, u.streak, u.last_trade_at, u.paused_until, u.paused_reason,
       d.day, d.realized_pnl_usdt, d.trades_count,
       q.daily_max_loss_usdt, q.max_trades_per_day, q.max_consecutive_losses, q.cooldown_after_trade_s,
       q.pause_duration_min
  FROM risk_users u
  LEFT JOIN risk_days d ON d.user_id = u.user_id AND d.day = %(today)s
  LEFT JOIN risk_limits q ON q.user_id = u.user_id
 WHERE EXISTS (SELECT FROM strategy_runs r WHERE r.user_id = u.user_id
                  AND (r.status = 'active' OR %(inactive_too)s AND r.status <> 'archived'))
   AND (%(user_id)s::text IS NULL OR u.user_id = %(user_id)s)
 ORDER BY u.user_id LIMIT %(limit)s;

-- name: accounts_with_runs
-- Accounts that are traded on, oldest first.
SELECT a.* FROM accounts a
 WHERE EXISTS (SELECT FROM strategy_runs r WHERE r.account_id = a.id AND r.status <> 'archived')
   AND (%(user_id)s::text IS NULL OR a.user_id = %(user_id)s)
 ORDER BY a.created_at, a.id LIMIT %(limit)s;

-- name: equity_of
-- The last equity points of each of these accounts, newest first.
SELECT e.account_id, e.at, e.balance FROM unnest(%(account_ids)s::uuid[]) AS given (id)
 CROSS JOIN LATERAL (SELECT account_id, at, balance, id FROM equity_points p WHERE p.account_id = given.id
                      ORDER BY p.at DESC, p.id DESC LIMIT %(points)s) e
 ORDER BY e.account_id, e.at DESC, e.id DESC;

-- name: last_ticks
-- The newest tick of each of these runs that was not a missed slot; one look-up by key a run.
SELECT t.* FROM unnest(%(run_ids)s::uuid[]) AS given (id)
 CROSS JOIN LATERAL (SELECT run_id, user_id, slot, status, signal, reason, source, scheduled_at, finished_at, latency_ms,
                            worker, fence
                       FROM strategy_tick_runs t
                      WHERE t.run_id = given.id AND slot >= %(since)s AND status <> 'missed'
                      ORDER BY slot DESC LIMIT 1) t;

-- name: tick_counts
-- What the newest ticks since an instant came to, by user.
SELECT user_id, status, reason, count(*) AS ticks
  FROM (SELECT user_id, status, reason FROM strategy_tick_runs
         WHERE slot >= %(since)s AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
         ORDER BY slot DESC LIMIT %(limit)s) AS newest
 GROUP BY user_id, status, reason ORDER BY user_id, status, reason;

-- name: pause_counts
-- Pauses of these users that began since an instant, by what they were for; among each user's newest events.
SELECT e.user_id, e.payload ->> 'reason' AS reason, count(*) AS pauses
  FROM unnest(%(user_ids)s::text[]) AS given (user_id)
 CROSS JOIN LATERAL (SELECT user_id, type, payload FROM strategy_events e
                      WHERE e.user_id = given.user_id AND e.at >= %(since)s
                      ORDER BY e.id DESC LIMIT 5000) e
 WHERE e.type = 'risk_block' AND e.payload ->> 'action' = 'paused'
 GROUP BY e.user_id, e.payload ->> 'reason' ORDER BY e.user_id, reason;
