BEGIN TRANSACTION;
CREATE TABLE counters (
        namespace TEXT NOT NULL, key TEXT NOT NULL, requests INTEGER NOT NULL, tokens INTEGER NOT NULL,
        expires INTEGER NOT NULL, nanos INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (namespace, key)) WITHOUT ROWID;
INSERT INTO "counters" VALUES('','quota:user:issuer:ada:day:46296',2,80,4000150800,16);
INSERT INTO "counters" VALUES('','quota:user:issuer:ada:day:46296:1',2,5,4000150800,0);
INSERT INTO "counters" VALUES('','quota:user:issuer:ada:month:2096-10',2,80,4005248400,16);
INSERT INTO "counters" VALUES('','quota:user:issuer:ada:month:2096-10:1',2,5,4005248400,0);
CREATE TABLE reservations (
        namespace TEXT NOT NULL, account TEXT NOT NULL, id TEXT NOT NULL, since REAL NOT NULL,
        requests INTEGER NOT NULL, tokens INTEGER NOT NULL, nanos INTEGER NOT NULL, expires INTEGER NOT NULL,
        PRIMARY KEY (namespace, account, id)) WITHOUT ROWID;
INSERT INTO "reservations" VALUES('','user:issuer:ada','c86de75a9ff349acbac26944d7ff0967',3999999000.0,1,50,9,4005248400);
INSERT INTO "reservations" VALUES('','user:issuer:ada:1','efe6c903e4c94b479a7e2dfce6bcfae3',3999999000.0,2,5,0,4005248400);
CREATE TABLE schema_versions (
    kind TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "schema_versions" VALUES('counters',2);
CREATE INDEX counters_by_expiry ON counters (expires);
COMMIT;
