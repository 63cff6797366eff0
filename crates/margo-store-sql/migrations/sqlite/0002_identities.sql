-- The certificate a client signs with, and the digest it is found by.
ALTER TABLE clients ADD COLUMN git_token_until TEXT;
ALTER TABLE clients ADD COLUMN certificate_digest TEXT;
ALTER TABLE clients ADD COLUMN certificate BLOB;

CREATE UNIQUE INDEX clients_by_certificate ON clients (certificate_digest);

-- Other ids that clients are known by.
CREATE TABLE links (
    id        TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES clients
) STRICT;

-- Issued for a while. Times are milliseconds since 1970, so that they can be compared.
CREATE TABLE tokens (
    position   INTEGER NOT NULL PRIMARY KEY,
    hash       TEXT NOT NULL UNIQUE,
    client_id  TEXT NOT NULL REFERENCES clients,
    token_use  TEXT NOT NULL CHECK (token_use IN ('management', 'git')),
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX tokens_by_client ON tokens (client_id, token_use);
