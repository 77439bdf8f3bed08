-- Under which name a version of a strategy stood, for answers about a time that has passed. Versions before the latest
-- were not written down with theirs, nor are those a process of the version before this one makes: null.
ALTER TABLE strategy_versions
    ADD COLUMN name text,
    ADD COLUMN description text,
    ADD COLUMN visibility text;

UPDATE strategy_versions v SET name = s.name, description = s.description, visibility = s.visibility
  FROM strategies s WHERE s.id = v.strategy_id AND s.latest_version = v.version;
