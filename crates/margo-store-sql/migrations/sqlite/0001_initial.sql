-- Identifiers, digests, revisions and timestamps (RFC 3339, UTC) stand as the text the library prints for them.
-- Manifest versions reach 2^64 - 1, an integer column 2^63 - 1: they stand as text of exactly 20 digits, so that
-- the order of the text is the order of the numbers. All order is that of bytes (PostgreSQL: COLLATE "C").
-- A `position` is the order in which rows came.
-- Large columns stand last: SQLite then reads the others without touching them.

CREATE TABLE clients (
    client_id    TEXT NOT NULL PRIMARY KEY,
    device_id    TEXT NOT NULL UNIQUE,
    revision     TEXT NOT NULL,
    token        TEXT NOT NULL,
    git_token    TEXT NOT NULL,
    onboarded_at TEXT NOT NULL,
    retired_at   TEXT,
    fetched      TEXT CHECK (length(fetched) = 20)
) STRICT;

CREATE INDEX clients_by_token ON clients (token);
CREATE INDEX clients_by_git_token ON clients (git_token);

-- A device without a document has not said anything about itself yet.
CREATE TABLE devices (
    client_id    TEXT NOT NULL REFERENCES clients,
    device_id    TEXT NOT NULL,
    revision     TEXT,
    reported_at  TEXT,
    document     BLOB,
    PRIMARY KEY (client_id, device_id),
    CHECK ((document IS NULL) = (revision IS NULL) AND (document IS NULL) = (reported_at IS NULL))
) STRICT;

CREATE TABLE applications (
    position       INTEGER NOT NULL PRIMARY KEY,
    application_id TEXT NOT NULL,
    version        TEXT NOT NULL,
    stored_at      TEXT NOT NULL,
    description    BLOB NOT NULL,
    UNIQUE (application_id, version)
) STRICT;

-- The current manifest of a client is the one with the greatest version.
CREATE TABLE manifests (
    client_id     TEXT NOT NULL REFERENCES clients,
    version       TEXT NOT NULL CHECK (length(version) = 20),
    digest        TEXT NOT NULL,
    bundle_digest TEXT,
    document      BLOB NOT NULL,
    bundle        BLOB,
    PRIMARY KEY (client_id, version),
    CHECK ((bundle IS NULL) = (bundle_digest IS NULL))
) STRICT;

CREATE TABLE deployments (
    position            INTEGER NOT NULL PRIMARY KEY,
    deployment_id       TEXT NOT NULL UNIQUE,
    client_id           TEXT NOT NULL REFERENCES clients,
    digest              TEXT NOT NULL,
    target              TEXT NOT NULL,
    application_id      TEXT NOT NULL,
    application_version TEXT NOT NULL,
    profile             TEXT NOT NULL,
    namespace           TEXT NOT NULL,
    since               TEXT NOT NULL CHECK (length(since) = 20),
    created_at          TEXT NOT NULL,
    changed_at          TEXT NOT NULL,
    deleted_at          TEXT,
    parameters          TEXT NOT NULL, -- a JSON object
    document            BLOB NOT NULL
) STRICT;

CREATE INDEX deployments_by_client ON deployments (client_id, digest);

-- What deployments were before they were changed or deleted, for as long as a kept manifest names it.
CREATE TABLE superseded (
    client_id    TEXT NOT NULL REFERENCES clients,
    digest       TEXT NOT NULL,
    last_version TEXT NOT NULL CHECK (length(last_version) = 20), -- of the manifests that named it
    document     BLOB NOT NULL,
    PRIMARY KEY (client_id, digest)
) STRICT;

-- The latest report of a deployment is the one with the greatest position.
CREATE TABLE reports (
    position      INTEGER NOT NULL PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployments (deployment_id),
    client_id     TEXT NOT NULL REFERENCES clients,
    device_id     TEXT,
    revision      TEXT NOT NULL,
    received_at   TEXT NOT NULL,
    document      BLOB NOT NULL
) STRICT;

CREATE INDEX reports_by_deployment ON reports (deployment_id, position);
