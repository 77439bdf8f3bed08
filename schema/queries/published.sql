-- Signals on their way outside.

-- name: lock_signal_cursor
-- Up to where signals have been looked at; none while another process is at it.
SELECT last_event_id FROM signal_cursor FOR UPDATE SKIP LOCKED;

-- name: await_signal_cursor
-- Waits for whoever judges signals just now.
SELECT last_event_id FROM signal_cursor FOR UPDATE;

-- name: move_signal_cursor
-- Signals have been looked at up to here.
UPDATE signal_cursor SET last_event_id = %(last_event_id)s;

-- name: signal_events
-- Signals after an event, in id order, with their age in seconds of the world outside, which a demo's time outruns.
SELECT e.id, e.user_id, e.at, e.payload,
       greatest(0, extract(epoch FROM runner_now() - e.at) / greatest(p.rate, 1))::float8 AS age_s
  FROM strategy_events e CROSS JOIN platform_settings p
 WHERE e.id > %(after_id)s AND e.id <= %(horizon)s AND e.type = 'signal' ORDER BY e.id LIMIT %(limit)s;

-- name: known_signals
-- Which of these signals have been judged.
SELECT signal_id FROM published_signals WHERE signal_id = ANY(%(signal_ids)s);

-- name: told_signals
-- Each symbol's newest signal that was told, of those decided after an instant.
SELECT DISTINCT ON (symbol) symbol, action, at FROM published_signals
 WHERE withheld IS NULL AND at > %(after)s ORDER BY symbol, at DESC, id DESC;

-- name: insert_published_signal
-- Keeps a signal that has been judged, once.
INSERT INTO published_signals (signal_id, user_id, symbol, action, at, expires_at, withheld, content)
VALUES (%(signal_id)s, %(user_id)s, %(symbol)s, %(action)s, %(at)s,
        clock_timestamp() + %(left_s)s * interval '1 second', %(withheld)s, %(content)s)
ON CONFLICT (signal_id) DO NOTHING;

-- name: enter_signal_receiver
-- Begins with what is published from now on.
INSERT INTO signal_receivers (name, last_id) SELECT %(name)s, coalesce(max(id), 0) FROM published_signals
ON CONFLICT (name) DO NOTHING;

-- name: lease_signal_receiver
-- Takes the telling of a receiver, where no other process has it; how far it is, and how far there is to go.
UPDATE signal_receivers r
   SET owner = %(owner)s, leased_until = clock_timestamp() + %(lease_s)s * interval '1 second'
 WHERE name = %(name)s AND (owner = %(owner)s OR leased_until <= clock_timestamp())
RETURNING last_id, coalesce((SELECT max(id) FROM published_signals), 0) AS newest_id;

-- name: pass_signals_over
-- Gives up what a receiver is too far behind for.
UPDATE signal_receivers
   SET lost = lost + (SELECT count(*) FROM published_signals
                       WHERE id > last_id AND id <= %(last_id)s AND withheld IS NULL),
       last_id = %(last_id)s
 WHERE name = %(name)s AND owner = %(owner)s;

-- name: signals_to_tell
-- What a receiver has not got, in order, and for how many seconds each may still be acted upon.
SELECT id, content, extract(epoch FROM expires_at - clock_timestamp())::float8 AS left_s FROM published_signals
 WHERE id > %(after_id)s AND withheld IS NULL ORDER BY id LIMIT %(limit)s;

-- name: signals_told
-- A receiver has everything up to here, or it was too late for it.
UPDATE signal_receivers
   SET last_id = greatest(last_id, %(last_id)s), sent = sent + %(sent)s, expired = expired + %(expired)s,
       lost = lost + %(refused)s, failing_since = NULL, last_error = NULL
 WHERE name = %(name)s AND owner = %(owner)s;

-- name: signal_receiver_failed
-- A receiver did not take what it was told.
UPDATE signal_receivers SET failing_since = coalesce(failing_since, clock_timestamp()), last_error = %(error)s
 WHERE name = %(name)s AND owner = %(owner)s;

-- name: leave_signal_receiver
-- Another process may tell a receiver at once.
UPDATE signal_receivers SET leased_until = '-infinity' WHERE name = %(name)s AND owner = %(owner)s;

-- name: forget_published_signals
-- Takes out some old ones; those a receiver has not got are lost to it.
WITH old AS MATERIALIZED (
    SELECT id FROM published_signals WHERE stored_at < clock_timestamp() - %(days)s * interval '1 day'
     ORDER BY stored_at LIMIT %(rows)s FOR UPDATE SKIP LOCKED
), counted AS (
    UPDATE signal_receivers r SET lost = r.lost + missed.many
      FROM (SELECT r.name, count(*) AS many FROM signal_receivers r JOIN published_signals p ON p.id > r.last_id
             WHERE p.id IN (SELECT id FROM old) AND p.withheld IS NULL GROUP BY r.name) AS missed
     WHERE missed.name = r.name
)
DELETE FROM published_signals WHERE id IN (SELECT id FROM old);

-- name: observed_receivers
-- How each receiver is, and how many signals wait for it.
SELECT name, sent, expired, lost, failing_since IS NOT NULL AS failing, last_error,
       (SELECT count(*) FROM published_signals p WHERE p.id > r.last_id AND p.withheld IS NULL) AS waiting
  FROM signal_receivers r ORDER BY name;

-- name: published_page
-- Signals told and withheld, newest first.
SELECT id, user_id, at, withheld, content FROM published_signals
 WHERE (%(before_id)s::bigint IS NULL OR id < %(before_id)s)
   AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
   AND (NOT %(withheld_only)s OR withheld IS NOT NULL)
 ORDER BY id DESC LIMIT %(limit)s;
