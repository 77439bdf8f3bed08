-- The fence of the lease before this one: whether somebody else has decided for a run since its actor last looked.

ALTER TABLE strategy_locks ADD COLUMN previous_fence bigint NOT NULL DEFAULT 0;
