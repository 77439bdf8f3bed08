-- One key of a venue is one connection's, whoever's: two runs on one account, each with books of its own, would each take
-- the other's position for a stranger's. What is compared is an HMAC under a key of the installation's.

-- Sealed as keys of connections are; a rotation of master keys re-wraps it with them.
CREATE TABLE installation_secrets (
    secret_id uuid PRIMARY KEY,
    master_key_id text NOT NULL CHECK (length(master_key_id) BETWEEN 1 AND 255),
    data_key_id uuid NOT NULL UNIQUE,
    wrapped_key bytea NOT NULL CHECK (octet_length(wrapped_key) = 60),
    sealed_key bytea NOT NULL CHECK (octet_length(sealed_key) BETWEEN 29 AND 4096),
    sealed_secret bytea NOT NULL CHECK (octet_length(sealed_secret) BETWEEN 29 AND 4096)
);

-- NULL: stored before there were any, or by a process of the version before; the next test of the key puts it in.
ALTER TABLE connection_keys ADD COLUMN fingerprint bytea CHECK (octet_length(fingerprint) = 32);
CREATE UNIQUE INDEX connection_keys_one_of_a_key ON connection_keys (fingerprint);

-- The version before changes a key and leaves its fingerprint, which is the old one's then.
CREATE FUNCTION forget_fingerprint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.fingerprint := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER connection_keys_fingerprint BEFORE UPDATE OF data_key_id ON connection_keys FOR EACH ROW
    WHEN (NEW.data_key_id <> OLD.data_key_id) EXECUTE FUNCTION forget_fingerprint();

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE ON installation_secrets TO runner_service;
    END IF;
END $$;
