-- Keys of exchange connections, as ciphertext (schema/vault.py); a connection is there while its row here is.

ALTER TABLE accounts ADD COLUMN removed_at timestamptz;
ALTER TABLE accounts ADD CONSTRAINT accounts_one_of_kind UNIQUE (id, user_id, kind);

CREATE TABLE connection_keys (
    account_id uuid PRIMARY KEY,
    user_id text NOT NULL,
    kind text NOT NULL DEFAULT 'connection' CHECK (kind = 'connection'),
    environment text NOT NULL CHECK (environment IN ('live', 'testnet', 'demo')),
    -- The last characters of the key's id, for its owner to know it by.
    key_hint text NOT NULL CHECK (length(key_hint) BETWEEN 1 AND 4),
    -- Which master key wraps the data key: what a rotation has still to do is read from here.
    master_key_id text NOT NULL CHECK (length(master_key_id) BETWEEN 1 AND 255),
    -- Another one with every new key of the venue.
    data_key_id uuid NOT NULL UNIQUE,
    wrapped_key bytea NOT NULL CHECK (octet_length(wrapped_key) = 60),
    sealed_key bytea NOT NULL CHECK (octet_length(sealed_key) BETWEEN 29 AND 4096),
    sealed_secret bytea NOT NULL CHECK (octet_length(sealed_secret) BETWEEN 29 AND 4096),
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_test_at timestamptz,
    last_test_result text,
    -- What the venue last said the key may do, and when: asked again within a day.
    rights jsonb CHECK (jsonb_typeof(rights) = 'object'),
    rights_at timestamptz,
    CHECK ((rights IS NULL) = (rights_at IS NULL)),
    -- A connection's keys are its own user's (I12).
    FOREIGN KEY (account_id, user_id, kind) REFERENCES accounts (id, user_id, kind)
);
CREATE INDEX connection_keys_by_user ON connection_keys (user_id);
CREATE INDEX connection_keys_by_master_key ON connection_keys (master_key_id, account_id);
CREATE INDEX connection_keys_by_rights ON connection_keys (rights_at);

-- A hint for whoever holds the ciphertext.
CREATE FUNCTION notify_connection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('connections', coalesce(NEW.account_id, OLD.account_id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER connection_keys_notify AFTER INSERT OR DELETE OR UPDATE OF data_key_id, master_key_id
    ON connection_keys FOR EACH ROW EXECUTE FUNCTION notify_connection();

-- A run that begins and a connection that goes meet at the account's row.
CREATE FUNCTION refuse_removed_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM accounts WHERE id = NEW.account_id FOR KEY SHARE;
    -- Read after the wait.
    IF EXISTS (SELECT FROM accounts WHERE id = NEW.account_id AND removed_at IS NOT NULL) THEN
        RAISE EXCEPTION 'account % has been removed', NEW.account_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER strategy_runs_account BEFORE INSERT ON strategy_runs
    FOR EACH ROW WHEN (NEW.account_id IS NOT NULL) EXECUTE FUNCTION refuse_removed_account();

CREATE OR REPLACE VIEW exchange_connections AS
SELECT a.id, a.user_id, a.name, a.venue, a.max_leverage, a.max_notional, a.kill_switch, a.created_at,
       k.environment, k.key_hint, k.last_test_at, k.last_test_result, k.rights
  FROM accounts a LEFT JOIN connection_keys k ON k.account_id = a.id
 WHERE a.kind = 'connection' AND a.removed_at IS NULL;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON connection_keys TO runner_service;
    END IF;
END $$;
