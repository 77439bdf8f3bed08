-- Who is told every event outside: how far each has it. One process at a time tells a receiver.
CREATE TABLE event_receivers (
    name text PRIMARY KEY CHECK (name IN ('redis')),
    last_event_id bigint NOT NULL,
    -- Names this log where the receiver keeps how far it is: ids of another database begin anew.
    log uuid NOT NULL DEFAULT gen_random_uuid(),
    owner text,
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    sent bigint NOT NULL DEFAULT 0,
    lost bigint NOT NULL DEFAULT 0,
    failing_since timestamptz,
    last_error text
);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE ON event_receivers TO runner_service;
    END IF;
END $$;
