"""The report of a backtest: statistics, JSON, CSV files and one self-contained HTML page."""
