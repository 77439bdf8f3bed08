-- Keys by which chart services send signals to one strategy.

-- name: put_alert_key
-- Makes a user's strategy answer to this key alone; no row where there is no such strategy that takes signals.
INSERT INTO alert_keys (strategy_id, user_id, digest, made_at)
SELECT s.id, s.owner_id, %(digest)s, %(made_at)s FROM strategies s
 WHERE s.id = %(strategy_id)s AND s.owner_id = %(user_id)s AND s.kind = 'external' AND s.archived_at IS NULL
ON CONFLICT (strategy_id) DO UPDATE SET digest = excluded.digest, made_at = excluded.made_at
RETURNING made_at;

-- name: delete_alert_key
-- Ends the key of a user's strategy.
DELETE FROM alert_keys WHERE strategy_id = %(strategy_id)s AND user_id = %(user_id)s;

-- name: alert_key_since
-- When the key of a user's strategy was made.
SELECT made_at FROM alert_keys WHERE strategy_id = %(strategy_id)s AND user_id = %(user_id)s;

-- name: alert_key_holder
-- Whose key it is, and for which strategy.
SELECT k.strategy_id, k.user_id FROM alert_keys k JOIN strategies s ON s.id = k.strategy_id
 WHERE k.digest = %(digest)s AND s.archived_at IS NULL;

-- name: hold_alert_key
-- Whether the key still is the strategy's. It is not ended before this transaction is over.
SELECT strategy_id FROM alert_keys
 WHERE digest = %(digest)s AND strategy_id = %(strategy_id)s FOR SHARE;
