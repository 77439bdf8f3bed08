// Long while the price is above its average, out below it: the example that every kind of strategy reproduces.
// "sell" ends the position in a run whose direction is long; in one that trades both sides it opens a short.
type Answer = { signal: string; reason?: string; indicators: Record<string, number> };

const LOOKBACK = 250;
const MIN_CANDLES = 20;
const PARAMETERS = { period: { default: 20, min: 2, max: 200, meaning: "candles of the average" } };
const USES_POSITION = true;

function strategy(context: any): Answer {
  const period: number = context.parameters.period || 20;
  const candles = context.candles;
  if (candles.length < period) return { signal: "hold", reason: "Too few candles for the average", indicators: {} };
  let sum = 0;
  for (let i = candles.length - period; i < candles.length; i++) sum += candles[i].close;
  const sma: number = sum / period;
  const indicators = { sma };
  if (context.currentPrice > sma && !context.position) return { signal: "buy", reason: "Price above SMA", indicators };
  if (context.currentPrice < sma && context.position) return { signal: "sell", reason: "Price below SMA", indicators };
  return { signal: "hold", indicators };
}
