-- A sequence nobody has asked yet says 1 all the same: the first event of a new installation was passed over.
UPDATE notice_cursor SET last_event_id = 0 WHERE NOT EXISTS (SELECT FROM strategy_events);
