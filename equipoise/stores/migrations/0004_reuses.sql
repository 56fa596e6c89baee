-- Questions that were answered without asking anybody, by an answer that another request (`source`) had been given:
-- how (hit, stale, joined), how old it was, and what it saved in nano-dollars. Nothing was paid for these.
CREATE TABLE reuses (
    request_id TEXT NOT NULL,
    wall REAL NOT NULL,
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    route TEXT NOT NULL,
    result TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    source TEXT NOT NULL,
    age REAL NOT NULL,
    saved INTEGER NOT NULL
);
CREATE INDEX reuses_by_request ON reuses (request_id);
CREATE INDEX reuses_by_wall ON reuses (wall);
