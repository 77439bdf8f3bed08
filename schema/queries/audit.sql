-- Chains of events.

-- name: chain_heads
-- Where the chains end, of one user or of all.
SELECT c.user_id, c.link, c.hash, coalesce(d.link, 0) FROM event_chains c LEFT JOIN dropped_links d USING (user_id)
 WHERE %(user_id)s::text IS NULL OR c.user_id = %(user_id)s ORDER BY c.user_id;

-- name: chain_links
-- A user's links in order, their content made anew from the rows.
SELECT link, previous_hash, hash, event_content(link, id, user_id, run_id, seq, type, at, payload)
  FROM strategy_events WHERE user_id = %(user_id)s AND link IS NOT NULL ORDER BY link, id;
