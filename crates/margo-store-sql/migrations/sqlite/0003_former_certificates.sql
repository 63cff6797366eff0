-- Certificates that clients no longer sign with: nobody else may come with one.
CREATE TABLE former_certificates (
    digest    TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES clients
) STRICT;

CREATE INDEX former_certificates_by_client ON former_certificates (client_id);
