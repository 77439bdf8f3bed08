-- Settings an administrator has changed while the service runs; they win over environment and file.

CREATE TABLE config_overrides (
    name text PRIMARY KEY CHECK (name ~ '^[A-Z][A-Z0-9_]*$'),
    value text NOT NULL CHECK (length(value) <= 4000),
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A hint to all processes.
CREATE FUNCTION notify_config() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('config', '');
    RETURN NULL;
END $$;
CREATE TRIGGER config_overrides_notify AFTER INSERT OR UPDATE OR DELETE ON config_overrides
    FOR EACH STATEMENT EXECUTE FUNCTION notify_config();

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON config_overrides TO runner_service;
    END IF;
END $$;
