-- What a tick led to, for its trace.

-- name: traced_orders
-- Orders of these ticks with their first and last execution, in the order they were meant.
SELECT o.run_id, o.slot, o.client_order_id, o.leg, o.attempt, o.side, o.status, o.created_at, o.updated_at,
       f.first_fill, f.last_fill, coalesce(f.fills, 0) AS fills
  FROM unnest(%(run_id)s::uuid[], %(slot)s::timestamptz[]) AS given (run_id, slot)
  JOIN orders o ON o.run_id = given.run_id AND o.slot = given.slot
  LEFT JOIN LATERAL (SELECT min(executed_at) AS first_fill, max(executed_at) AS last_fill, count(*) AS fills
                       FROM fills WHERE fills.client_order_id = o.client_order_id) f ON true
 ORDER BY o.number LIMIT %(limit)s;

-- name: traced_strategies
-- Which strategy each of these runs follows.
SELECT id AS run_id, strategy_id FROM strategy_runs WHERE id = ANY(%(run_id)s);
