-- What a run has done, a page at a time, newest first. Each asks for the run and its user (I12).

-- name: orders_page
-- Orders with what decided them, before a number.
SELECT * FROM orders
 WHERE run_id = %(run_id)s AND user_id = %(user_id)s AND number < %(before)s
 ORDER BY number DESC LIMIT %(limit)s;

-- name: trades_page
-- Round trips before a number.
SELECT * FROM trades
 WHERE run_id = %(run_id)s AND user_id = %(user_id)s AND number < %(before)s
 ORDER BY number DESC LIMIT %(limit)s;

-- name: events_page
-- Events before an id and of some types, among so many that are looked at.
SELECT id, user_id, run_id, seq, type, at, payload
  FROM (SELECT id, user_id, run_id, seq, type, at, payload FROM strategy_events
         WHERE run_id = %(run_id)s AND user_id = %(user_id)s AND id < %(before)s
         ORDER BY id DESC LIMIT %(scanned)s) AS looked_at
 WHERE %(kinds)s::text[] IS NULL OR (type ~ ANY(%(kinds)s::text[])) = %(among)s
 ORDER BY id DESC LIMIT %(limit)s;

-- name: events_scanned
-- The lowest id among so many events before an id, and how many those are.
SELECT min(id) AS lowest, count(*) AS events
  FROM (SELECT id FROM strategy_events
         WHERE run_id = %(run_id)s AND user_id = %(user_id)s AND id < %(before)s
         ORDER BY id DESC LIMIT %(scanned)s) AS looked_at;

-- name: executions_page
-- Ticks before a slot, and how many orders each made.
SELECT t.run_id, t.user_id, t.slot, t.status, t.signal, t.reason, t.source, t.scheduled_at, t.finished_at, t.latency_ms,
       t.worker, t.fence, t.asked_at, t.evaluation,
       (SELECT count(*) FROM orders o
         WHERE o.run_id = t.run_id AND o.slot = t.slot AND o.leg IN ('entry', 'exit')) AS orders_made
  FROM strategy_tick_runs t
 WHERE t.run_id = %(run_id)s AND t.user_id = %(user_id)s AND t.slot < %(before)s
 ORDER BY t.slot DESC LIMIT %(limit)s;

-- name: evaluations_of
-- The evaluations behind ticks, by slot. A tick of before they were named has the last one of its strategy there. The
-- rolling average is of the evaluations up to each, as far as they were of the same strategy.
SELECT t.slot, e.status AS evaluation_status, e.duration_ms, e.action, e.price, e.reason AS evaluation_reason,
       e.indicators, e.runs_reached, e.nodes_executed, e.error, e.used_ms, e.limit_ms, rolling.average_ms
  FROM unnest(%(slots)s::timestamptz[], %(evaluations)s::uuid[]) AS t (slot, evaluation)
 CROSS JOIN LATERAL (
     SELECT * FROM (
         SELECT * FROM strategy_executions x
          WHERE x.slot = t.slot AND left(x.evaluation_key, 32) = replace(t.evaluation::text, '-', '')
         UNION ALL
         SELECT * FROM strategy_executions x
          WHERE t.evaluation IS NULL AND x.strategy_id = %(strategy_id)s AND x.slot = t.slot) AS found
      ORDER BY found.stored_at DESC LIMIT 1) AS e
 CROSS JOIN LATERAL (
     SELECT avg(latest.duration_ms) AS average_ms FROM (
         SELECT x.duration_ms FROM strategy_executions x WHERE x.strategy_id = e.strategy_id AND x.slot <= e.slot
          ORDER BY x.slot DESC LIMIT %(rolling)s) AS latest) AS rolling;

-- name: evaluations_page
-- Evaluations of a strategy before one, newest first, with what their code printed and the orders that runs made of each.
WITH page AS MATERIALIZED (
    SELECT * FROM strategy_executions
     WHERE strategy_id = (SELECT id FROM strategies WHERE id = %(strategy_id)s AND owner_id = %(user_id)s)
       AND (slot, evaluation_key) < (coalesce(%(before_slot)s::timestamptz, 'infinity'), %(before_key)s)
     ORDER BY slot DESC, evaluation_key DESC LIMIT %(limit)s
), made AS (
    SELECT o.slot, replace(t.evaluation::text, '-', '') AS key, count(*) AS orders
      FROM strategy_runs r
      JOIN orders o ON o.run_id = r.id AND o.slot = ANY (ARRAY(SELECT slot FROM page)) AND o.leg IN ('entry', 'exit')
      JOIN strategy_tick_runs t ON t.run_id = o.run_id AND t.slot = o.slot
     WHERE r.strategy_id = %(strategy_id)s
     GROUP BY 1, 2
)
SELECT e.evaluation_key, e.slot, e.worker, e.status AS evaluation_status, e.duration_ms, e.action, e.price,
       e.reason AS evaluation_reason, e.indicators, e.runs_reached, e.nodes_executed, e.error, e.used_ms, e.limit_ms,
       rolling.average_ms, coalesce(made.orders, 0) AS orders_made, printed.printed
  FROM page e
  LEFT JOIN made ON made.slot = e.slot AND (made.key = left(e.evaluation_key, 32) OR made.key IS NULL)
  LEFT JOIN execution_prints printed
         ON printed.strategy_id = e.strategy_id AND printed.slot = e.slot AND printed.evaluation_key = e.evaluation_key
 CROSS JOIN LATERAL (
     SELECT avg(latest.duration_ms) AS average_ms FROM (
         SELECT x.duration_ms FROM strategy_executions x WHERE x.strategy_id = e.strategy_id AND x.slot <= e.slot
          ORDER BY x.slot DESC LIMIT %(rolling)s) AS latest) AS rolling
 ORDER BY e.slot DESC, e.evaluation_key DESC;

-- name: answers_differently
-- Whether a version was seen to answer differently for the same candles.
SELECT EXISTS (SELECT FROM strategy_warnings
                WHERE strategy_id = %(strategy_id)s AND version = %(version)s AND kind = 'not_deterministic');

-- name: warnings_of
-- What the author of a strategy was warned of, the latest versions first.
SELECT strategy_id, version, user_id, kind, slot, detail FROM strategy_warnings
 WHERE strategy_id = %(strategy_id)s ORDER BY version DESC, kind LIMIT %(limit)s;

-- name: trade_totals
-- What a run's closed round trips came to. The drawdown is of the capital with what they had made.
WITH mine AS (
    SELECT number, pnl, fees, funding FROM trades WHERE run_id = %(run_id)s AND user_id = %(user_id)s
), curve AS (
    SELECT number, sum(pnl) OVER (ORDER BY number) AS made FROM mine
), peaks AS (
    SELECT made, greatest(max(made) OVER (ORDER BY number), 0) AS peak FROM curve
)
SELECT count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS wins, count(*) FILTER (WHERE pnl < 0) AS losses,
       coalesce(sum(pnl), 0) AS pnl, coalesce(sum(fees), 0) AS fees, coalesce(sum(funding), 0) AS funding,
       coalesce(sum(pnl) FILTER (WHERE pnl > 0), 0) AS gained, coalesce(-sum(pnl) FILTER (WHERE pnl < 0), 0) AS lost,
       max(pnl) AS best, min(pnl) AS worst,
       coalesce((SELECT max(peak - made) FROM peaks), 0) AS max_drawdown,
       coalesce((SELECT max((peak - made) / (peak + %(capital)s)) FROM peaks), 0) AS max_drawdown_share
  FROM mine;

-- name: tick_totals
-- What a run's ticks since a slot came to, and how long those took that were decided.
SELECT status, count(*) AS ticks, avg(latency_ms)::float8 AS average_ms FROM strategy_tick_runs
 WHERE run_id = %(run_id)s AND user_id = %(user_id)s AND slot >= %(since)s
 GROUP BY status;

-- name: marketplace_page
-- Strategies anybody may run, newest first, with the record of all runs there have been.
SELECT s.id, s.owner_id, s.name, s.description, s.kind, s.visibility, v.version, v.template, v.source, v.parameters, v.venue,
       v.market, v.symbol, v.timeframe, s.created_at,
       (SELECT count(*) FROM strategy_runs r WHERE r.strategy_id = s.id) AS runs,
       (SELECT count(*) FROM strategy_runs r WHERE r.strategy_id = s.id AND r.status = 'active') AS active_runs,
       (SELECT min(r.activated_at) FROM strategy_runs r WHERE r.strategy_id = s.id) AS since
  FROM strategies s JOIN strategy_versions v ON v.strategy_id = s.id AND v.version = s.latest_version
 WHERE s.visibility <> 'private' AND s.archived_at IS NULL
   AND (%(symbol)s::text IS NULL OR v.symbol = %(symbol)s)
   AND (%(before_at)s::timestamptz IS NULL OR (s.created_at, s.id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY s.created_at DESC, s.id DESC LIMIT %(limit)s;

-- name: records_of
-- Of these strategies: what the newest round trips of their first runs came to, in shares of each run's capital too, and
-- the largest drawdown of one run.
WITH newest AS (
    SELECT r.strategy_id, r.id AS run_id, r.capital, t.number, t.pnl
      FROM unnest(%(strategy_ids)s::uuid[]) AS given (id)
     CROSS JOIN LATERAL (SELECT id, strategy_id, capital FROM strategy_runs q
                          WHERE q.strategy_id = given.id ORDER BY q.number LIMIT %(runs)s) r
     CROSS JOIN LATERAL (SELECT number, pnl FROM trades t WHERE t.run_id = r.id ORDER BY number DESC LIMIT %(trades)s) t
), curve AS (
    SELECT *, sum(pnl) OVER (PARTITION BY run_id ORDER BY number) AS made FROM newest
), peaks AS (
    SELECT *, greatest(max(made) OVER (PARTITION BY run_id ORDER BY number), 0) AS peak FROM curve
)
SELECT strategy_id, count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS wins, sum(pnl) AS pnl,
       sum(pnl / capital) / count(DISTINCT run_id) AS return_share,
       max((peak - made) / (peak + capital)) AS max_drawdown_share
  FROM peaks GROUP BY strategy_id;
