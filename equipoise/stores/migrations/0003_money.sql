-- Who asked by which key; by whose word the cost is known; what a graph's own questions cost.
ALTER TABLE attempts ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN price_source TEXT NOT NULL DEFAULT '';
-- What the upstream said it billed, where that was not believed.
ALTER TABLE attempts ADD COLUMN claimed_cost INTEGER;
ALTER TABLE attempts ADD COLUMN fees INTEGER NOT NULL DEFAULT 0;
-- Tokens of the question as it came, before any engine added to it.
ALTER TABLE attempts ADD COLUMN question_tokens INTEGER NOT NULL DEFAULT 0;
-- The request whose graph asked this question, and (on that request) what its graph's questions came to and how they
-- were joined to it. That money is in the rows of those questions: never add inner_cost to cost when summing rows.
ALTER TABLE attempts ADD COLUMN parent TEXT;
ALTER TABLE attempts ADD COLUMN inner_cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN inner_calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN joined TEXT NOT NULL DEFAULT '';
CREATE INDEX attempts_by_parent ON attempts (parent) WHERE parent IS NOT NULL;
