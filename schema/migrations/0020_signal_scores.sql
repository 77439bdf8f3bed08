-- How strongly a strategy meant its signal, where it said so: what lists and streams are filtered by.

ALTER TABLE signals ADD COLUMN score double precision CHECK (score = score);
