-- Requests under an idempotency key. Times are process time but for asked_at.

-- name: idempotency_forget_old
-- Deletes some of what is older than a key is kept.
DELETE FROM idempotency_keys WHERE (user_id, key) IN (
    SELECT user_id, key FROM idempotency_keys
     WHERE created_at < clock_timestamp() - make_interval(secs => %(kept_s)s)
     ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED);

-- name: idempotency_count
-- How many keys a user has, counted no further than the bound.
SELECT count(*) FROM (
    SELECT FROM idempotency_keys WHERE user_id = %(user_id)s LIMIT %(most)s) AS counted;

-- name: idempotency_insert
-- The first attempt under a key; nothing where the key is known.
INSERT INTO idempotency_keys (user_id, key, operation, body_hash, seed, busy_until)
VALUES (%(user_id)s, %(key)s, %(operation)s, %(body_hash)s, %(seed)s,
        clock_timestamp() + make_interval(secs => %(busy_s)s))
ON CONFLICT (user_id, key) DO NOTHING
RETURNING seed, attempts, asked_at;

-- name: idempotency_lock
-- What is known under a key, held until the transaction ends.
SELECT operation, body_hash, seed, state, attempts, asked_at, status, answer,
       extract(epoch FROM busy_until - clock_timestamp())::float8 AS busy_s,
       created_at < clock_timestamp() - make_interval(secs => %(kept_s)s) AS is_old
  FROM idempotency_keys WHERE user_id = %(user_id)s AND key = %(key)s FOR UPDATE;

-- name: idempotency_try_again
-- Another attempt at a request that nobody is at any more.
UPDATE idempotency_keys
   SET state = 'running', attempts = attempts + 1,
       busy_until = clock_timestamp() + make_interval(secs => %(busy_s)s)
 WHERE user_id = %(user_id)s AND key = %(key)s
RETURNING seed, attempts, asked_at;

-- name: idempotency_finish
-- Keeps the answer of the attempt that is the newest.
UPDATE idempotency_keys SET state = 'done', status = %(status)s, answer = %(answer)s
 WHERE user_id = %(user_id)s AND key = %(key)s AND state = 'running' AND attempts = %(attempt)s;

-- name: idempotency_reopen
-- Lets a request be tried again with the ids it had.
UPDATE idempotency_keys SET state = 'open'
 WHERE user_id = %(user_id)s AND key = %(key)s AND state = 'running' AND attempts = %(attempt)s;

-- name: idempotency_forget
-- Forgets a key: what was asked under it has changed nothing, or was long ago.
DELETE FROM idempotency_keys
 WHERE user_id = %(user_id)s AND key = %(key)s AND attempts = %(attempt)s;
