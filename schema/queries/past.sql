-- What events and versions tell of an instant that has passed. All of one user.

-- name: kept_since
-- Whether events of a user have been taken out, and when the first that is left was stored.
SELECT EXISTS (SELECT FROM dropped_links d WHERE d.user_id = %(user_id)s) AS dropped,
       (SELECT e.at FROM strategy_events e WHERE e.user_id = %(user_id)s ORDER BY e.id LIMIT 1) AS first_at;

-- name: run_past
-- A run's changes of status and settings, those after the instant too: they say what was before.
SELECT id, run_id, type, at, payload FROM strategy_events
 WHERE run_id = %(run_id)s AND user_id = %(user_id)s AND type IN ('run.status', 'run.settings.updated')
 ORDER BY id LIMIT %(limit)s;

-- name: last_flat
-- The fill that left a run flat last by an instant.
SELECT id FROM strategy_events
 WHERE run_id = %(run_id)s AND user_id = %(user_id)s AND at <= %(at)s AND type = 'order_fill'
   AND (payload ->> 'open_quantity')::numeric = 0
 ORDER BY id DESC LIMIT 1;

-- name: position_past
-- What moved a run's position after an event and by an instant.
SELECT id, run_id, type, at, payload FROM strategy_events
 WHERE run_id = %(run_id)s AND user_id = %(user_id)s AND at <= %(at)s AND id > %(flat)s
   AND type IN ('order_fill', 'funding')
 ORDER BY id LIMIT %(limit)s;

-- name: last_drift
-- By how much the venue was last said to hold more than our fills say, by an instant.
SELECT id, run_id, type, at, payload FROM strategy_events
 WHERE run_id = %(run_id)s AND user_id = %(user_id)s AND at <= %(at)s AND type = 'drift'
 ORDER BY id DESC LIMIT 1;

-- name: version_at
-- A strategy's version at an instant, under the name it had; `named` false: that is not recorded, and it is today's.
SELECT s.id, s.owner_id, s.kind, v.version, v.template, v.source, v.parameters, v.venue, v.market, v.symbol, v.timeframe,
       coalesce(v.name, s.name) AS name, coalesce(v.description, s.description) AS description,
       coalesce(v.visibility, s.visibility) AS visibility, v.created_at AS version_created_at,
       v.name IS NOT NULL OR v.version = s.latest_version AS named
  FROM strategies s JOIN strategy_versions v ON v.strategy_id = s.id
 WHERE s.id = %(strategy_id)s AND v.created_at <= %(at)s
 ORDER BY v.version DESC LIMIT 1;

-- name: orders_then
-- Orders of a run by their ids; what one asked for never changes.
SELECT client_order_id, run_id, user_id, account_id, symbol, slot, leg, attempt, side, kind, quantity,
       reference_price, reduce_only, leverage, price, stop_loss, take_profit, stop_loss_pct, take_profit_pct,
       trailing_callback_pct, trailing_activation_pct, fence
  FROM orders
 WHERE client_order_id = ANY(%(client_order_ids)s) AND run_id = %(run_id)s AND user_id = %(user_id)s;

-- name: risk_past
-- A user's ended round trips and pauses by an instant, newest first.
SELECT id, run_id, type, at, payload FROM strategy_events
 WHERE user_id = %(user_id)s AND at <= %(at)s
   AND (type = 'trade.closed' OR type = 'risk_block' AND run_id IS NULL)
 ORDER BY id DESC LIMIT %(limit)s;

-- name: risk_day_past
-- What moved the day's totals by an instant.
SELECT id, run_id, type, at, payload FROM strategy_events
 WHERE user_id = %(user_id)s AND at >= %(since)s AND at <= %(at)s
   AND type IN ('order_fill', 'funding', 'order_submit', 'order_update')
 ORDER BY id LIMIT %(limit)s;

-- name: last_entry_past
-- The last entry leg reserved by an instant.
SELECT id, run_id, type, at, payload FROM strategy_events
 WHERE user_id = %(user_id)s AND at <= %(at)s AND type = 'order_submit'
   AND payload ->> 'reserved' = 'true' AND payload ->> 'attempt' = '1'
 ORDER BY id DESC LIMIT 1;

-- name: limits_past
-- Every change of a user's limits that is left.
SELECT id, run_id, type, at, payload FROM strategy_events
 WHERE user_id = %(user_id)s AND type = 'risk.limits.updated'
 ORDER BY id LIMIT %(limit)s;
