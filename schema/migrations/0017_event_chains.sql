-- Each user's events form a chain of hashes: what is changed, left out or put in afterwards breaks it.
-- A chain begins with the first event after this migration; events from before have no link and stay as they are.

ALTER TABLE strategy_events
    ADD COLUMN link bigint,
    ADD COLUMN previous_hash bytea,
    ADD COLUMN hash bytea;

-- The last link of each user's chain.
CREATE TABLE event_chains (
    user_id text PRIMARY KEY,
    link bigint NOT NULL CHECK (link >= 0),
    previous_hash bytea,
    hash bytea NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 70);

-- Up to which link retention has taken events out; beside the chains, so that who appends never waits for it.
CREATE TABLE dropped_links (
    user_id text PRIMARY KEY,
    link bigint NOT NULL CHECK (link >= 1)
);

-- What a hash is taken of, beside the hash before it: the same text on every server, whatever its settings.
CREATE FUNCTION event_content(link bigint, id bigint, user_id text, run_id uuid, seq bigint, type text,
                              at timestamptz, payload jsonb) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_array(link, id, user_id, run_id, seq, type, (extract(epoch FROM at) * 1000000)::bigint,
                             payload)::text
$$;

-- As the owner: the service's role cannot touch a chain but by appending events. Fires behind `number_event`.
CREATE FUNCTION seal_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    LOOP
        UPDATE event_chains c
           SET link = c.link + 1, previous_hash = c.hash,
               hash = sha256(c.hash || convert_to(event_content(c.link + 1, NEW.id, NEW.user_id, NEW.run_id, NEW.seq,
                                                                NEW.type, NEW.at, NEW.payload), 'UTF8'))
         WHERE c.user_id = NEW.user_id
     RETURNING c.link, c.previous_hash, c.hash INTO NEW.link, NEW.previous_hash, NEW.hash;
        EXIT WHEN FOUND;
        INSERT INTO event_chains (user_id, link, hash)
        VALUES (NEW.user_id, 0, sha256(convert_to('strategy-runner events of ' || NEW.user_id, 'UTF8')))
            ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER strategy_events_seal BEFORE INSERT ON strategy_events
    FOR EACH ROW EXECUTE FUNCTION seal_event();

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        REVOKE ALL ON event_chains, dropped_links FROM runner_service;
        GRANT SELECT ON event_chains, dropped_links TO runner_service;
    END IF;
END $$;
