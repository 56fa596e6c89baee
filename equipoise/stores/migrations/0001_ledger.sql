-- One row an attempt. Money is whole nano-dollars; times are seconds; the question itself is never here.
CREATE TABLE attempts (
    request_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    wall REAL NOT NULL,
    tenant TEXT NOT NULL,
    tags TEXT NOT NULL DEFAULT '[]',
    session TEXT,
    role TEXT NOT NULL DEFAULT 'answer',
    backend_id TEXT NOT NULL,
    backend_type TEXT NOT NULL,
    model TEXT NOT NULL DEFAULT '',
    route TEXT NOT NULL DEFAULT '',
    strategy TEXT NOT NULL DEFAULT '',
    kind TEXT NOT NULL DEFAULT '',
    stream INTEGER NOT NULL DEFAULT 0,
    verdict TEXT NOT NULL,
    status INTEGER,
    error_code TEXT,
    error TEXT,
    finish_reason TEXT,
    interrupted INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 1,
    latency REAL,
    first_token REAL,
    decision_seconds REAL,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    citation_tokens INTEGER NOT NULL DEFAULT 0,
    searches INTEGER NOT NULL DEFAULT 0,
    usage_estimated INTEGER NOT NULL DEFAULT 0,
    citations INTEGER NOT NULL DEFAULT 0,
    cost INTEGER NOT NULL,
    cost_source TEXT NOT NULL,
    question_hash TEXT NOT NULL DEFAULT '',
    config_hash TEXT NOT NULL DEFAULT '',
    policy_version TEXT NOT NULL DEFAULT '',
    features_version INTEGER NOT NULL DEFAULT 1,
    features TEXT NOT NULL DEFAULT '{}',
    decision BLOB NOT NULL,
    PRIMARY KEY (request_id, number)
);
CREATE INDEX attempts_by_wall ON attempts (wall);

-- What retention removed, summed by UTC day (days since 1970), so that the bill stays whole.
CREATE TABLE retired (
    day INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (day, tenant, backend_id)
) WITHOUT ROWID;

-- What could not be recorded (the disk failed for longer than memory may hold): an honest hole, with its size.
CREATE TABLE gaps (
    first_wall REAL NOT NULL,
    last_wall REAL NOT NULL,
    attempts INTEGER NOT NULL,
    cost INTEGER NOT NULL
);
