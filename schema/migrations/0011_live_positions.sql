-- What a live venue was last seen to hold: the protection that stands, and by how much it has more than our fills say.

ALTER TABLE positions
    ADD COLUMN standing_stop numeric CHECK (standing_stop > 0),
    ADD COLUMN standing_target numeric CHECK (standing_target > 0),
    ADD COLUMN drift numeric NOT NULL DEFAULT 0 CHECK (drift > '-Infinity' AND drift < 'Infinity');
