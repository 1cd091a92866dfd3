BEGIN TRANSACTION;
CREATE TABLE answers (
        namespace TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, holder TEXT NOT NULL,
        expires INTEGER NOT NULL, status INTEGER, content_type TEXT, body BLOB, PRIMARY KEY (namespace, key));
INSERT INTO "answers" VALUES('','a060a79f933eb5635e892cc809b643743773f2027103d91caef10fad94afdd66','1303dc6073b383030c9666c564ddd84568284479deca5136f0dfde081ce8ceee','4653ca9930a5458a8bd2420339d82aed',4000000000,200,'application/json',X'7B226964223A2263686174636D706C2D31222C226F626A656374223A22636861742E636F6D706C6574696F6E222C2263726561746564223A312C226D6F64656C223A2261646173222C2263686F69636573223A5B7B22696E646578223A302C226D657373616765223A7B22726F6C65223A22617373697374616E74222C22636F6E74656E74223A2248656C6C6F227D2C2266696E6973685F726561736F6E223A2273746F70227D5D2C227573616765223A7B2270726F6D70745F746F6B656E73223A312C22636F6D706C6574696F6E5F746F6B656E73223A312C22746F74616C5F746F6B656E73223A327D7D');
CREATE TABLE configuration_heads (
        namespace TEXT NOT NULL PRIMARY KEY, latest INTEGER NOT NULL, active INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "configuration_heads" VALUES('',1,1);
CREATE TABLE configurations (
        namespace TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (namespace, version));
INSERT INTO "configurations" VALUES('',1,'{"kind":"configuration","identifier":"1","provider_id":"configuration","provider_resource_id":"1","attributes":{"overlay":{"inference":{"vllm":{"provider_type":"remote::vllm","config":{"timeout":7},"registered":false}}},"note":"registered"},"created":1795956144,"owner":{"principal":"7iewt5a3fkk3","attributes":{"roles":["admin"]},"vouched_by":"api_key","label":"root"}}');
CREATE TABLE counters (
        namespace TEXT NOT NULL, key TEXT NOT NULL, requests INTEGER NOT NULL, tokens INTEGER NOT NULL,
        expires INTEGER NOT NULL, PRIMARY KEY (namespace, key)) WITHOUT ROWID;
INSERT INTO "counters" VALUES('','quota:user:api_key:7iewt5a3fkk3:month:2026-11',2,0,1798678800);
INSERT INTO "counters" VALUES('','quota:user:api_key:jnrrhguvlnag:month:2026-11',2,0,1798678800);
CREATE TABLE documents (
        namespace TEXT NOT NULL, collection TEXT NOT NULL, id TEXT NOT NULL, parent TEXT NOT NULL,
        created INTEGER NOT NULL, revision INTEGER NOT NULL, birth TEXT NOT NULL, until INTEGER, forget INTEGER,
        owner TEXT, body BLOB NOT NULL, PRIMARY KEY (namespace, collection, id));
INSERT INTO "documents" VALUES('','note','a','n',1795000000,1,'e6eee8c18dc64ec4bad0c67eff128cc8',NULL,NULL,'{"principal":"ada","attributes":{}}',X'7B2274657874223A22C3A4227D');
INSERT INTO "documents" VALUES('','note','b','n',1795000001,1,'7c84f9a2c7c74b06a243ed188b9f3096',4000000000,4000003600,'{"principal":"ada","attributes":{}}',X'7B2274657874223A2262227D');
INSERT INTO "documents" VALUES('','note','c','n',1795000002,2,'9e5c169f79ea42b3a75fdff29ebb9540',NULL,NULL,'{"principal":"ada","attributes":{}}',X'7B2274657874223A226368616E676564227D');
CREATE TABLE job_shards (
        namespace TEXT NOT NULL, expires INTEGER NOT NULL,
        job TEXT NOT NULL, plan TEXT NOT NULL, number INTEGER NOT NULL, source TEXT NOT NULL, rows INTEGER NOT NULL,
        state TEXT NOT NULL, holder TEXT NOT NULL, until REAL NOT NULL, attempts INTEGER NOT NULL, done BLOB NOT NULL,
        parts TEXT NOT NULL, counts TEXT NOT NULL, PRIMARY KEY (namespace, job, plan, number));
CREATE TABLE jobs (
        namespace TEXT NOT NULL, owner TEXT NOT NULL, key TEXT,
        id TEXT NOT NULL, kind TEXT NOT NULL, principal TEXT NOT NULL, request TEXT NOT NULL, created REAL NOT NULL,
        deadline REAL NOT NULL, expires INTEGER NOT NULL, status TEXT NOT NULL, outcome TEXT, reason TEXT NOT NULL,
        plan TEXT NOT NULL, shards INTEGER NOT NULL, remaining INTEGER NOT NULL, rows INTEGER NOT NULL,
        holder TEXT NOT NULL, until REAL NOT NULL, attempts INTEGER NOT NULL, tick INTEGER NOT NULL, started REAL,
        ended REAL, counts TEXT, result TEXT, PRIMARY KEY (namespace, id), UNIQUE (namespace, owner, key));
INSERT INTO "jobs" VALUES('','24ad53318895f943af1b9a865bf220f9d4803cd45f58dffb5548ba8abda6187d','8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a','job_old','toy','["jnrrhguvlnag",{"namespaces":["own:api_key:jnrrhguvlnag"]},"api_key"]','{"rows":1}',1795000000.0,4000000000.0,4000000000,'queued',NULL,'','',0,0,0,'',0.0,0,0,NULL,NULL,NULL,NULL);
CREATE TABLE resources (
        namespace TEXT NOT NULL, kind TEXT NOT NULL, identifier TEXT NOT NULL,
        provider_id TEXT NOT NULL, provider_resource_id TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (namespace, kind, identifier)) WITHOUT ROWID;
INSERT INTO "resources" VALUES('','api_key','7iewt5a3fkk3','llambda','7iewt5a3fkk3','{"kind":"api_key","identifier":"7iewt5a3fkk3","provider_id":"llambda","provider_resource_id":"7iewt5a3fkk3","attributes":{"name":"root","roles":["admin"],"salt":"a43067dd7cccbb091a0ff33c85e17763","hash":"5a67a6b60dc43e100ad3c5b97499fc50bb7c450b18a8c566670306f5ce8f2f66","expires":null,"last_used":null},"created":1795956142,"owner":null}');
INSERT INTO "resources" VALUES('','api_key','jnrrhguvlnag','llambda','jnrrhguvlnag','{"kind":"api_key","identifier":"jnrrhguvlnag","provider_id":"llambda","provider_resource_id":"jnrrhguvlnag","attributes":{"name":"ada","roles":[],"salt":"aaf2a509395c1635e328c1d3ed632243","hash":"064180c4c7e028b237286bfa70e90fd49f1c136200f2986df56e2e378ceea3a5","expires":null,"last_used":null},"created":1795956142,"owner":null}');
INSERT INTO "resources" VALUES('','api_key_use','7iewt5a3fkk3','llambda','7iewt5a3fkk3','{"kind":"api_key_use","identifier":"7iewt5a3fkk3","provider_id":"llambda","provider_resource_id":"7iewt5a3fkk3","attributes":{"last_used":1795956143},"created":0,"owner":null}');
INSERT INTO "resources" VALUES('','api_key_use','jnrrhguvlnag','llambda','jnrrhguvlnag','{"kind":"api_key_use","identifier":"jnrrhguvlnag","provider_id":"llambda","provider_resource_id":"jnrrhguvlnag","attributes":{"last_used":1795956144},"created":0,"owner":null}');
INSERT INTO "resources" VALUES('','model','adas','vllm','m','{"kind":"model","identifier":"adas","provider_id":"vllm","provider_resource_id":"m","attributes":{"metadata":{},"model_type":"llm"},"created":1795956144,"owner":{"principal":"jnrrhguvlnag","attributes":{"namespaces":["own:api_key:jnrrhguvlnag"]},"vouched_by":"api_key"}}');
INSERT INTO "resources" VALUES('','model','team/a/model','vllm','m','{"kind":"model","identifier":"team/a/model","provider_id":"vllm","provider_resource_id":"m","attributes":{"metadata":{"a":"\u00e4"},"model_type":"llm"},"created":1795956143,"owner":{"principal":"7iewt5a3fkk3","attributes":{"roles":["admin"]},"vouched_by":"api_key"}}');
CREATE TABLE schema_versions (
    kind TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "schema_versions" VALUES('answers',1);
INSERT INTO "schema_versions" VALUES('configurations',1);
INSERT INTO "schema_versions" VALUES('counters',1);
INSERT INTO "schema_versions" VALUES('documents',1);
INSERT INTO "schema_versions" VALUES('jobs',1);
INSERT INTO "schema_versions" VALUES('registry',1);
CREATE INDEX resources_by_provider_name
        ON resources (namespace, kind, provider_id, provider_resource_id, identifier);
CREATE INDEX counters_by_expiry ON counters (expires);
CREATE INDEX answers_by_expiry ON answers (expires);
CREATE INDEX documents_by_list ON documents (namespace, collection, parent, created, id);
CREATE INDEX documents_by_end ON documents (forget) WHERE forget IS NOT NULL;
CREATE INDEX jobs_by_kind ON jobs (namespace, kind, created, id);
CREATE INDEX jobs_by_owner ON jobs (namespace, kind, owner, created, id);
CREATE INDEX jobs_by_expiry ON jobs (expires);
CREATE INDEX job_shards_by_expiry ON job_shards (expires);
COMMIT;
