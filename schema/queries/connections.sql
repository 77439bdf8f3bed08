-- Exchange connections and their sealed keys.

-- name: lock_user_connections
-- One addition of a user's at a time, so that their number is what was counted.
SELECT pg_advisory_xact_lock(1263094605, hashtext(%(user_id)s));

-- name: count_connections
-- How many connections a user has.
SELECT count(*) FROM connection_keys WHERE user_id = %(user_id)s;

-- name: insert_connection_keys
-- Stores a new connection's sealed keys with what the venue said of them.
INSERT INTO connection_keys (account_id, user_id, environment, key_hint, master_key_id, data_key_id, wrapped_key,
                             sealed_key, sealed_secret, last_test_at, last_test_result, rights, rights_at)
VALUES (%(account_id)s, %(user_id)s, %(environment)s, %(key_hint)s, %(master_key_id)s, %(data_key_id)s,
        %(wrapped_key)s, %(sealed_key)s, %(sealed_secret)s, clock_timestamp(), %(result)s, %(rights)s,
        clock_timestamp());

-- name: replace_connection_keys
-- Puts a new key in the place of a user's connection's old one.
UPDATE connection_keys
   SET key_hint = %(key_hint)s, master_key_id = %(master_key_id)s, data_key_id = %(data_key_id)s,
       wrapped_key = %(wrapped_key)s, sealed_key = %(sealed_key)s, sealed_secret = %(sealed_secret)s,
       sealed_at = clock_timestamp(), last_test_at = clock_timestamp(), last_test_result = %(result)s,
       rights = %(rights)s, rights_at = clock_timestamp()
 WHERE account_id = %(account_id)s AND user_id = %(user_id)s;

-- name: set_fingerprint
-- What a connection's key is known by, while it is still this one.
UPDATE connection_keys SET fingerprint = %(fingerprint)s
 WHERE account_id = %(account_id)s AND data_key_id = %(data_key_id)s;

-- name: offer_secret
-- Keeps a secret of the installation's where there is none yet.
INSERT INTO installation_secrets (secret_id, master_key_id, data_key_id, wrapped_key, sealed_key, sealed_secret)
VALUES (%(account_id)s, %(master_key_id)s, %(data_key_id)s, %(wrapped_key)s, %(sealed_key)s, %(sealed_secret)s)
ON CONFLICT (secret_id) DO NOTHING;

-- name: installation_secret
-- The secret of the installation's that is kept, as a connection's keys are shown.
SELECT '' AS user_id, secret_id AS account_id, master_key_id, data_key_id, wrapped_key, sealed_key, sealed_secret
  FROM installation_secrets WHERE secret_id = %(secret_id)s;

-- name: connections
-- A user's connections, or one of them, oldest first; nothing sealed among it.
SELECT a.id, a.user_id, a.name, a.venue, k.environment, k.key_hint, a.max_leverage, a.max_notional, a.kill_switch,
       a.created_at, k.data_key_id, k.sealed_at, k.last_test_at, k.last_test_result, k.rights, k.rights_at
  FROM connection_keys k JOIN accounts a ON a.id = k.account_id
 WHERE (%(user_id)s::text IS NULL OR k.user_id = %(user_id)s)
   AND (%(account_id)s::uuid IS NULL OR k.account_id = %(account_id)s)
 ORDER BY a.created_at, a.id LIMIT %(limit)s;

-- name: lock_connection
-- A user's connection, which no run can begin on before this transaction ends.
SELECT a.id FROM accounts a JOIN connection_keys k ON k.account_id = a.id
 WHERE a.id = %(account_id)s AND a.user_id = %(user_id)s FOR UPDATE OF a, k;

-- name: runs_on_account
-- How many runs trade on an account that are not archived, and how many ever did.
SELECT count(*) FILTER (WHERE status <> 'archived') AS live, count(*) AS ever
  FROM strategy_runs WHERE account_id = %(account_id)s;

-- name: active_runs_on_account
-- The active runs of an account.
SELECT id FROM strategy_runs WHERE account_id = %(account_id)s AND status = 'active' ORDER BY id;

-- name: delete_connection_keys
-- Forgets a connection's keys.
DELETE FROM connection_keys WHERE account_id = %(account_id)s;

-- name: retire_account
-- Closes an account whose history stays.
UPDATE accounts SET removed_at = clock_timestamp() WHERE id = %(account_id)s;

-- name: delete_account
-- Removes an account nothing has ever happened on.
DELETE FROM accounts WHERE id = %(account_id)s;

-- name: rename_connection
-- Gives a user's connection another name.
UPDATE accounts SET name = %(name)s WHERE id = %(account_id)s AND user_id = %(user_id)s AND kind = 'connection'
   AND EXISTS (SELECT FROM connection_keys WHERE account_id = %(account_id)s);

-- name: save_key_test
-- What a test of a key came to, unless the key is another by now; rights are kept where the venue named none.
UPDATE connection_keys
   SET last_test_at = clock_timestamp(), last_test_result = %(result)s,
       rights = coalesce(%(rights)s, rights),
       rights_at = CASE WHEN %(rights)s::jsonb IS NULL THEN rights_at ELSE clock_timestamp() END
 WHERE account_id = %(account_id)s AND data_key_id = %(data_key_id)s;

-- name: claim_key_checks
-- Takes connections whose rights were last read long ago, each for one process, and not again before a while.
UPDATE connection_keys SET last_test_at = clock_timestamp()
 WHERE account_id IN (
       SELECT account_id FROM connection_keys
        WHERE (rights_at IS NULL OR rights_at <= clock_timestamp() - %(every_s)s * interval '1 second')
          AND (last_test_at IS NULL OR last_test_at <= clock_timestamp() - %(retry_s)s * interval '1 second')
        ORDER BY rights_at NULLS FIRST LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING account_id;

-- name: sealed_keys
-- Sealed keys of these connections.
SELECT user_id, account_id, master_key_id, data_key_id, wrapped_key, sealed_key, sealed_secret
  FROM connection_keys WHERE account_id = ANY(%(account_ids)s);

-- name: keys_to_rewrap
-- The next connections, signing secrets and secrets of the installation, by id, whose data key another master key wraps.
SELECT * FROM (
    SELECT user_id, account_id, master_key_id, data_key_id, wrapped_key, sealed_key, sealed_secret FROM connection_keys
    UNION ALL
    SELECT user_id, secret_id, master_key_id, data_key_id, wrapped_key, sealed_key, sealed_secret FROM notice_settings
     WHERE secret_id IS NOT NULL
    UNION ALL
    SELECT '', secret_id, master_key_id, data_key_id, wrapped_key, sealed_key, sealed_secret FROM installation_secrets
) AS sealed
 WHERE master_key_id <> %(master_key_id)s AND (%(after)s::uuid IS NULL OR account_id > %(after)s)
 ORDER BY account_id LIMIT %(limit)s;

-- name: count_to_rewrap
-- How many data keys another master key wraps.
SELECT (SELECT count(*) FROM connection_keys WHERE master_key_id <> %(master_key_id)s)
     + (SELECT count(*) FROM notice_settings WHERE master_key_id <> %(master_key_id)s)
     + (SELECT count(*) FROM installation_secrets WHERE master_key_id <> %(master_key_id)s);

-- name: rewrap_keys
-- Puts the new wrapping in place where key and wrapping are still those that were read.
WITH of_connection AS (
    UPDATE connection_keys SET master_key_id = %(master_key_id)s, wrapped_key = %(wrapped_key)s
     WHERE account_id = %(account_id)s AND data_key_id = %(data_key_id)s AND master_key_id = %(was)s RETURNING data_key_id
), of_notices AS (
    UPDATE notice_settings SET master_key_id = %(master_key_id)s, wrapped_key = %(wrapped_key)s
     WHERE secret_id = %(account_id)s AND data_key_id = %(data_key_id)s AND master_key_id = %(was)s
    RETURNING data_key_id
), of_installation AS (
    UPDATE installation_secrets SET master_key_id = %(master_key_id)s, wrapped_key = %(wrapped_key)s
     WHERE secret_id = %(account_id)s AND data_key_id = %(data_key_id)s AND master_key_id = %(was)s
    RETURNING data_key_id
)
SELECT data_key_id FROM of_connection UNION ALL SELECT data_key_id FROM of_notices
UNION ALL SELECT data_key_id FROM of_installation;
