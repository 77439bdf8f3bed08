-- Stored candles, as market data.

-- name: copy_candles
-- Candles of a series that open in a range, oldest first: eight bytes a column, holes of knowledge as NaN.
COPY (SELECT extract(epoch FROM open_time)::float8 * 1000, open, high, low, close, volume,
             coalesce(taker_buy_volume, 'NaN'::float8)
        FROM candles
       WHERE venue = %(venue)s AND market = %(market)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
         AND open_time >= %(start)s AND open_time < %(until)s
       ORDER BY open_time) TO STDOUT (FORMAT BINARY);

-- name: candle_ends
-- The first and the last candle of a series in a range.
SELECT (SELECT open_time FROM candles
         WHERE venue = %(venue)s AND market = %(market)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
           AND open_time >= %(start)s AND open_time < %(until)s ORDER BY open_time LIMIT 1) AS first,
       (SELECT open_time FROM candles
         WHERE venue = %(venue)s AND market = %(market)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
           AND open_time >= %(start)s AND open_time < %(until)s ORDER BY open_time DESC LIMIT 1) AS last;

-- name: candle_page
-- Candles of a series in a range, oldest first, as far as the limit goes.
SELECT open_time, open, high, low, close, volume, taker_buy_volume FROM candles
 WHERE venue = %(venue)s AND market = %(market)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
   AND open_time >= %(start)s AND open_time < %(until)s
 ORDER BY open_time LIMIT %(limit)s;

-- name: candle_stretches
-- Stretches of a series without a hole in a range, oldest first: within one, time less place is the same.
SELECT min(open_time) AS first, max(open_time) AS last, count(*) AS candles
  FROM (SELECT open_time, open_time - row_number() OVER (ORDER BY open_time) * make_interval(secs => %(step_s)s) AS island
          FROM candles
         WHERE venue = %(venue)s AND market = %(market)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
           AND open_time >= %(start)s AND open_time < %(until)s) AS placed
 GROUP BY island ORDER BY 1 LIMIT %(limit)s;
