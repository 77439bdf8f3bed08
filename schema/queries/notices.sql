-- What users and the operator are told outside.

-- name: notice_settings
-- What these users want to hear of.
SELECT * FROM notice_settings WHERE user_id = ANY(%(user_ids)s);

-- name: put_notice_settings
-- Sets what a user wants to hear of; the signing secret is kept where none is given.
INSERT INTO notice_settings AS kept (user_id, webhook_url, email, wanted, secret_id, master_key_id, data_key_id,
                                     wrapped_key, sealed_key, sealed_secret)
VALUES (%(user_id)s, %(webhook_url)s, %(email)s, %(wanted)s, %(secret_id)s, %(master_key_id)s, %(data_key_id)s,
        %(wrapped_key)s, %(sealed_key)s, %(sealed_secret)s)
ON CONFLICT (user_id) DO UPDATE
   SET webhook_url = excluded.webhook_url, email = excluded.email, wanted = excluded.wanted,
       secret_id = coalesce(excluded.secret_id, kept.secret_id),
       master_key_id = coalesce(excluded.master_key_id, kept.master_key_id),
       data_key_id = coalesce(excluded.data_key_id, kept.data_key_id),
       wrapped_key = coalesce(excluded.wrapped_key, kept.wrapped_key),
       sealed_key = coalesce(excluded.sealed_key, kept.sealed_key),
       sealed_secret = coalesce(excluded.sealed_secret, kept.sealed_secret), updated_at = clock_timestamp();

-- name: lock_notice_cursor
-- Up to where deliveries are made out; none while another process is at it.
SELECT last_event_id FROM notice_cursor FOR UPDATE SKIP LOCKED;

-- name: move_notice_cursor
-- Deliveries are made out up to here.
UPDATE notice_cursor SET last_event_id = %(last_event_id)s;

-- name: notable_events
-- Events of these types after one, in id order.
SELECT id, user_id, run_id, seq, type, at, payload FROM strategy_events
 WHERE id > %(after_id)s AND id <= %(horizon)s AND type = ANY(%(types)s) ORDER BY id LIMIT %(limit)s;

-- name: waiting_deliveries
-- How many deliveries these users have on their way.
SELECT user_id, count(*) AS waiting FROM notice_deliveries
 WHERE user_id = ANY(%(user_ids)s) AND state = 'waiting' GROUP BY user_id;

-- name: insert_delivery
-- Makes out a delivery, once.
INSERT INTO notice_deliveries (event_id, user_id, channel, kind, content)
VALUES (%(event_id)s, %(user_id)s, %(channel)s, %(kind)s, %(content)s)
ON CONFLICT (event_id, user_id, channel) DO NOTHING;

-- name: claim_deliveries
-- Takes what is due, each for one process, and not again before its attempt must be over.
UPDATE notice_deliveries
   SET attempts = attempts + 1, next_at = clock_timestamp() + %(claimed_s)s * interval '1 second'
 WHERE id IN (SELECT id FROM notice_deliveries WHERE state = 'waiting' AND next_at <= clock_timestamp()
               ORDER BY next_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING id, event_id, user_id, channel, kind, content, state, attempts, last_error, created_at;

-- name: delivery_sent
-- An attempt that was taken.
UPDATE notice_deliveries SET state = 'sent', last_error = NULL WHERE id = %(id)s;

-- name: delivery_failed
-- An attempt that was not; without a next one it has failed for good.
UPDATE notice_deliveries
   SET state = CASE WHEN %(again_s)s::float8 IS NULL THEN 'failed' ELSE 'waiting' END, last_error = %(error)s,
       next_at = clock_timestamp() + coalesce(%(again_s)s::float8, 0) * interval '1 second'
 WHERE id = %(id)s AND state = 'waiting';

-- name: deliveries_of
-- A user's latest deliveries, newest first.
SELECT id, event_id, user_id, channel, kind, content, state, attempts, last_error, created_at
  FROM notice_deliveries WHERE user_id = %(user_id)s ORDER BY id DESC LIMIT %(limit)s;

-- name: forget_deliveries
-- Deletes what ended long ago, a bounded part at a time.
DELETE FROM notice_deliveries WHERE id IN (
    SELECT id FROM notice_deliveries
     WHERE created_at < clock_timestamp() - %(days)s * interval '1 day' ORDER BY created_at LIMIT 1000);
