-- Events on their way outside.

-- name: enter_event_receiver
-- Begins with what happens from now on.
INSERT INTO event_receivers (name, last_event_id) SELECT %(name)s, coalesce(max(id), 0) FROM strategy_events
ON CONFLICT (name) DO NOTHING;

-- name: lease_event_receiver
-- Takes the telling of a receiver, where no other process has it; how far it is.
UPDATE event_receivers
   SET owner = %(owner)s, leased_until = clock_timestamp() + %(lease_s)s * interval '1 second'
 WHERE name = %(name)s AND (owner = %(owner)s OR leased_until <= clock_timestamp())
RETURNING last_event_id, log;

-- name: pass_events_over
-- Gives up what a receiver is too far behind for.
UPDATE event_receivers
   SET lost = lost + (SELECT count(*) FROM strategy_events e
                       WHERE e.id > last_event_id AND e.id <= %(last_id)s
                         AND (%(users)s::text[] IS NULL OR e.user_id = ANY(%(users)s))),
       last_event_id = %(last_id)s
 WHERE name = %(name)s AND owner = %(owner)s;

-- name: events_to_tell
-- What a receiver has not got, in order.
SELECT id, user_id, run_id, seq, type, at, payload FROM strategy_events
 WHERE id > %(after_id)s AND id <= %(horizon)s AND (%(users)s::text[] IS NULL OR user_id = ANY(%(users)s))
 ORDER BY id LIMIT %(limit)s;

-- name: events_told
-- A receiver has everything up to here.
UPDATE event_receivers
   SET last_event_id = greatest(last_event_id, %(last_id)s), sent = sent + %(sent)s, failing_since = NULL,
       last_error = NULL
 WHERE name = %(name)s AND owner = %(owner)s;

-- name: event_receiver_failed
-- A receiver did not take what it was told.
UPDATE event_receivers SET failing_since = coalesce(failing_since, clock_timestamp()), last_error = %(error)s
 WHERE name = %(name)s AND owner = %(owner)s;

-- name: leave_event_receiver
-- Another process may tell a receiver at once.
UPDATE event_receivers SET leased_until = '-infinity' WHERE name = %(name)s AND owner = %(owner)s;

-- name: observed_event_receiver
-- How far a receiver is.
SELECT sent, lost, failing_since IS NOT NULL AS failing FROM event_receivers WHERE name = %(name)s;
