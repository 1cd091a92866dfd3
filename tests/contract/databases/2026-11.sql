BEGIN TRANSACTION;
CREATE TABLE answers (
        namespace TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, holder TEXT NOT NULL,
        expires INTEGER NOT NULL, status INTEGER, content_type TEXT, body BLOB, PRIMARY KEY (namespace, key));
INSERT INTO "answers" VALUES('','k','f','ab738cfbefb540e0b1574fc76d8a7cb7',4000000000,200,'application/json',X'7B2261223A317D');
CREATE TABLE configuration_heads (
        namespace TEXT NOT NULL PRIMARY KEY, latest INTEGER NOT NULL, active INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "configuration_heads" VALUES('',1,1);
CREATE TABLE configurations (
        namespace TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (namespace, version));
INSERT INTO "configurations" VALUES('',1,'{"kind":"configuration","identifier":"1","provider_id":"configuration","provider_resource_id":"1","attributes":{"overlay":{"inference":{}},"note":"first"},"created":1790000000,"owner":null}');
CREATE TABLE counters (
        namespace TEXT NOT NULL, key TEXT NOT NULL, requests INTEGER NOT NULL, tokens INTEGER NOT NULL,
        expires INTEGER NOT NULL, PRIMARY KEY (namespace, key)) WITHOUT ROWID;
INSERT INTO "counters" VALUES('','ada:minute',1,7,4000000000);
CREATE TABLE resources (
        namespace TEXT NOT NULL, kind TEXT NOT NULL, identifier TEXT NOT NULL,
        provider_id TEXT NOT NULL, provider_resource_id TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (namespace, kind, identifier)) WITHOUT ROWID;
INSERT INTO "resources" VALUES('','model','llama','vllm','meta/llama','{"kind":"model","identifier":"llama","provider_id":"vllm","provider_resource_id":"meta/llama","attributes":{"model_type":"llm","metadata":{"a":"\u00e4"}},"created":1790000000,"owner":{"principal":"ada","attributes":{"roles":["admin"]}}}');
CREATE INDEX resources_by_provider_name
        ON resources (namespace, kind, provider_id, provider_resource_id, identifier);
CREATE INDEX answers_by_expiry ON answers (expires);
CREATE INDEX counters_by_expiry ON counters (expires);
COMMIT;
