BEGIN TRANSACTION;
CREATE TABLE documents (
        namespace TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL, parent TEXT NOT NULL,
        created INTEGER NOT NULL, revision INTEGER NOT NULL, birth TEXT NOT NULL, until INTEGER, forget INTEGER,
        owner TEXT, body BLOB NOT NULL, PRIMARY KEY (namespace, collection, id));
INSERT INTO "documents" VALUES('','job_input','a','ada',1795000000,1,'a5ba9466da354108890736fb676bf2ec',NULL,NULL,'{"principal":"ada","attributes":{}}',X'7B2274657874223A22C3A4227D');
INSERT INTO "documents" VALUES('','job_input','b','ada',1795000001,1,'5817c1c1c8e54ba58f4c2f96fcfaab5a',1795000100,1795003700,NULL,X'7B2274657874223A22676F6E65227D');
CREATE TABLE schema_versions (
    kind TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "schema_versions" VALUES('documents',1);
CREATE INDEX documents_by_list ON documents (namespace, collection, parent, created, id);
CREATE INDEX documents_by_end ON documents (forget) WHERE forget IS NOT NULL;
COMMIT;
