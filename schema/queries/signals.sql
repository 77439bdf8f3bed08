-- What strategies said, hold aside.

-- name: signals_of
-- A user's signals, newest slot first and by run within a slot, after a place; each run's of one user only.
SELECT g.run_id, g.strategy_id, s.name AS strategy, g.slot, g.symbol, g.action, g.score, g.said, g.at
  FROM signals g JOIN strategies s ON s.id = g.strategy_id
 WHERE g.user_id = %(user_id)s
   AND (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s)
   AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
   AND (%(action)s::text IS NULL OR action = %(action)s)
   AND (%(min_score)s::float8 IS NULL OR score >= %(min_score)s)
   AND (%(since)s::timestamptz IS NULL OR slot >= %(since)s)
   AND (%(before_slot)s::timestamptz IS NULL
        OR slot < %(before_slot)s OR (slot = %(before_slot)s AND run_id > %(before_run)s::uuid))
 ORDER BY slot DESC, run_id LIMIT %(limit)s;
