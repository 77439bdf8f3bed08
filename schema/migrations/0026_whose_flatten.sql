-- Whether an operator wants a position closed, whatever the kill switches say, or its owner, who waits for them. A
-- process of the version before makes both kinds without saying which: they stay what they were.
ALTER TABLE flattens ADD COLUMN by_operator boolean NOT NULL DEFAULT true;
