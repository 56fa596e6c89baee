-- How good answers were found to be, by whom; beside the attempts, joined by request and number. No words, only numbers.
CREATE TABLE quality (
    request_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    source TEXT NOT NULL,
    voice TEXT NOT NULL,
    wall REAL NOT NULL,
    tenant TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    route TEXT NOT NULL,
    kind TEXT NOT NULL,
    role TEXT NOT NULL,
    quality REAL NOT NULL,
    variance REAL NOT NULL,
    score REAL,
    dimensions TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (request_id, number, voice)
) WITHOUT ROWID;
CREATE INDEX quality_by_wall ON quality (wall);
