-- What was asked under an idempotency key, and what was answered: the repeat of a request is answered, not carried out.

CREATE TABLE idempotency_keys (
    user_id text NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
    key text NOT NULL CHECK (length(key) BETWEEN 8 AND 64),
    -- Method and path of the route.
    operation text NOT NULL CHECK (length(operation) <= 255),
    -- Of the seed, the ids in the path and the body: two keys with one body do not show it.
    body_hash bytea NOT NULL CHECK (octet_length(body_hash) = 32),
    -- What ids of this request are derived from, so that its repeat meets the rows it has made.
    seed uuid NOT NULL,
    -- running: somebody is at it until `busy_until`; open: it was tried and may be tried again; done: answered.
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'open', 'done')),
    attempts integer NOT NULL DEFAULT 1 CHECK (attempts >= 1),
    busy_until timestamptz NOT NULL,
    -- Market time of the first attempt: a tick that was asked for is asked for again, not another one.
    asked_at timestamptz NOT NULL DEFAULT runner_now(),
    status smallint CHECK (status BETWEEN 200 AND 599),
    answer bytea CHECK (octet_length(answer) <= 1048576),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, key),
    CHECK ((state = 'done') = (status IS NOT NULL AND answer IS NOT NULL))
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO runner_service;
    END IF;
END $$;
