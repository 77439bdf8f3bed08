-- What is wrong, for the operator; every list is bounded.

-- name: lock_alerts
-- One process at a time looks; false for the others.
SELECT pg_try_advisory_xact_lock(1263094607);

-- name: alert_ticks
-- Ticks since an instant, and how many failed.
SELECT count(*) AS ticks, count(*) FILTER (WHERE status = 'error') AS failed
  FROM strategy_tick_runs WHERE slot >= %(since)s AND status <> 'missed';

-- name: alert_silence
-- When a tick last came to a decision, or since when a run waits for one, and how often one is due at least.
SELECT greatest((SELECT finished_at FROM strategy_tick_runs
                  WHERE slot >= %(since)s AND status IN ('ok', 'blocked') ORDER BY slot DESC LIMIT 1),
                min(activated_at)) AS decided_at, min(timeframe_s) AS every_s
  FROM run_rows WHERE status = 'active' AND schedule IS NULL AND execution_mode <> 'MANUAL'
   AND kind <> 'external';

-- name: alert_auto_paused
-- Runs that a rule has paused.
SELECT id::text AS subject, coalesce(status_reason, '') AS detail
  FROM strategy_runs WHERE status = 'auto_paused' ORDER BY id LIMIT %(limit)s;

-- name: alert_daily_loss
-- Users whose entries a day's loss has paused.
SELECT user_id AS subject,
       'paused until ' || to_char(paused_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS detail
  FROM risk_users WHERE paused_reason = 'daily_loss' AND paused_until > %(now)s ORDER BY user_id LIMIT %(limit)s;

-- name: alert_unknown_orders
-- Orders whose fate has not been known for too long.
SELECT client_order_id AS subject, symbol || ' ' || leg || ' of run ' || run_id AS detail
  FROM orders WHERE status = 'unknown' AND updated_at <= %(now)s - %(unknown_s)s * interval '1 second'
 ORDER BY number LIMIT %(limit)s;

-- name: alert_unprotected
-- Positions at venues that want a stop, one that stays or one that trails, and have none for too long.
SELECT p.run_id::text AS subject, p.symbol || ' on account ' || p.account_id AS detail
  FROM positions p JOIN accounts a ON a.id = p.account_id
 WHERE p.quantity <> 0 AND a.kind = 'connection'
   AND (p.stop_loss IS NOT NULL AND p.standing_stop IS NULL OR p.trail_pct IS NOT NULL AND p.standing_trail IS NULL)
   AND p.updated_at <= %(now)s - %(unprotected_s)s * interval '1 second'
 ORDER BY p.run_id LIMIT %(limit)s;

-- name: alert_keys
-- Connections whose key may too much or too little, or is not taken.
SELECT account_id::text AS subject, last_test_result || ' (key ending ' || key_hint || ')' AS detail
  FROM connection_keys WHERE last_test_result = ANY(%(troubles)s) ORDER BY account_id LIMIT %(limit)s;

-- name: open_alerts
-- What has been raised and not cleared.
SELECT kind, subject FROM alerts WHERE cleared_at IS NULL;

-- name: raise_alert
-- Raises an alert, once.
INSERT INTO alerts (kind, subject, detail) VALUES (%(kind)s, %(subject)s, %(detail)s)
ON CONFLICT (kind, subject) WHERE cleared_at IS NULL DO NOTHING RETURNING kind, subject, detail;

-- name: clear_alert
-- Clears an alert.
UPDATE alerts SET cleared_at = runner_now() WHERE kind = %(kind)s AND subject = %(subject)s AND cleared_at IS NULL
RETURNING kind, subject, detail;

-- name: latest_alerts
-- Alerts, newest first; those that are open, or all.
SELECT id, kind, subject, detail, raised_at, cleared_at FROM alerts
 WHERE (NOT %(open)s OR cleared_at IS NULL) AND (%(before)s::bigint IS NULL OR id < %(before)s)
 ORDER BY id DESC LIMIT %(limit)s;
