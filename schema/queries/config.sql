-- Settings changed while the service runs.

-- name: config_overrides
-- What administrators have changed.
SELECT name, value, changed_by, changed_at FROM config_overrides ORDER BY name;

-- name: lock_config
-- One change at a time.
SELECT pg_advisory_xact_lock(1263094608);

-- name: put_override
-- Changes a setting.
INSERT INTO config_overrides (name, value, changed_by) VALUES (%(name)s, %(value)s, %(by)s)
ON CONFLICT (name) DO UPDATE
   SET value = excluded.value, changed_by = excluded.changed_by, changed_at = clock_timestamp();

-- name: drop_override
-- Goes back to what environment, file or default say.
DELETE FROM config_overrides WHERE name = %(name)s;

-- name: clip_limits
-- Users' own limits that the platform's have become tighter than, unless an administrator has set them for the user.
UPDATE risk_limits l
   SET daily_max_loss_usdt = least(daily_max_loss_usdt, %(daily_max_loss_usdt)s),
       max_trades_per_day = least(max_trades_per_day, %(max_trades_per_day)s),
       max_consecutive_losses = least(max_consecutive_losses, %(max_consecutive_losses)s),
       cooldown_after_trade_s = greatest(cooldown_after_trade_s, %(cooldown_after_trade_s)s),
       pause_duration_min = greatest(pause_duration_min, %(pause_duration_min)s)
 WHERE NOT EXISTS (SELECT FROM risk_ceilings c WHERE c.user_id = l.user_id)
   AND (daily_max_loss_usdt > %(daily_max_loss_usdt)s OR max_trades_per_day > %(max_trades_per_day)s
        OR max_consecutive_losses > %(max_consecutive_losses)s
        OR cooldown_after_trade_s < %(cooldown_after_trade_s)s OR pause_duration_min < %(pause_duration_min)s);
