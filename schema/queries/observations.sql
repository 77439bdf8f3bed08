-- What an operator watches, over all users; counted at most every few seconds.

-- name: observed_runs
-- Runs by status, archived ones aside.
SELECT status, count(*) AS many FROM strategy_runs WHERE status <> 'archived' GROUP BY status;

-- name: observed_orders
-- Orders that have not ended, by status.
SELECT status, count(*) AS many FROM orders
 WHERE status IN ('intent', 'submitted', 'partial', 'unknown') GROUP BY status;

-- name: observed_positions
-- Open positions; those at venues that want a stop and have none, and for how long the longest has had none.
SELECT count(*) AS open, count(*) FILTER (WHERE bare) AS unprotected,
       coalesce(max(extract(epoch FROM runner_now() - updated_at)) FILTER (WHERE bare), 0)::float8 AS unprotected_s
  FROM (SELECT p.updated_at,
               a.kind = 'connection' AND (p.stop_loss IS NOT NULL AND p.standing_stop IS NULL
                                          OR p.trail_pct IS NOT NULL AND p.standing_trail IS NULL) AS bare
          FROM positions p JOIN accounts a ON a.id = p.account_id WHERE p.quantity <> 0) AS held;

-- name: observed_alerts
-- How many alerts are open.
SELECT count(*) FROM alerts WHERE cleared_at IS NULL;
