"""Where candles come from: recorded files, a venue's public data, a seeded generator. One interface."""
