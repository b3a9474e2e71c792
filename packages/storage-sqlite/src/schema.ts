/**
 * The tables, who they belong to, and how a file of an earlier version becomes one of this version.
 *
 * Ids are TEXT in a UTF-8 database: compared byte by byte (BINARY), so they stand in bytewise order; they are read as bytes.
 * A document has a number, and stands in `document` under its id with everything that a known state needs. Tables whose rows are
 * mostly small are WITHOUT ROWID (one tree, no second search); first rows, chunks and segments are in rowid tables, which keep
 * up to 4 KiB on one page and long blobs in a chain of their own.
 */
import type { SqliteDatabase } from './driver.ts'

/** "Tide" in ASCII, in the header of the file: SQLite keeps it for whoever the file belongs to. */
export const APPLICATION_ID = 0x54696465

const FIRST_VERSION = `
  -- Every open of this store, see Generation in the contract.
  CREATE TABLE generation (open INTEGER PRIMARY KEY, id TEXT NOT NULL, sequence INTEGER NOT NULL) STRICT;

  -- Session ids, each stored once.
  CREATE TABLE session (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;

  -- state: see known-blob.ts. Documents are never removed, so keys are dense and the greatest is their number.
  CREATE TABLE document (
    id TEXT NOT NULL PRIMARY KEY, key INTEGER NOT NULL, sequence INTEGER NOT NULL, state BLOB NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX document_sequence ON document (sequence);

  -- Known states of documents with very many sessions: see known-blob.ts.
  CREATE TABLE chunk (key INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;

  -- The header of each document and the little it was created with: see first.ts.
  CREATE TABLE first (document INTEGER PRIMARY KEY, packed BLOB NOT NULL) STRICT;

  -- Further content: of each session the pieces, by the count at which they end. A piece has its transactions here (packed)
  -- or in a segment.
  CREATE TABLE piece (
    document INTEGER NOT NULL, session INTEGER NOT NULL, until INTEGER NOT NULL, segment INTEGER, packed BLOB,
    PRIMARY KEY (document, session, until)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE segment (key INTEGER PRIMARY KEY, packed BLOB NOT NULL) STRICT;

  CREATE TABLE verifier (
    document INTEGER NOT NULL, session INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY KEY (document, session)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE mark (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
  -- bytes NULL: a tombstone.
  CREATE TABLE map_entry (
    map TEXT NOT NULL, key TEXT NOT NULL, counter INTEGER NOT NULL, actor TEXT NOT NULL, bytes BLOB, PRIMARY KEY (map, key)
  ) STRICT, WITHOUT ROWID;
`

/** What makes version n+1 of version n, by index. A released step is never changed: files exist that took it. */
const MIGRATIONS: readonly string[] = [FIRST_VERSION]

/** The `user_version` of the files that this version writes. */
export const SCHEMA_VERSION: number = MIGRATIONS.length

export function readPragma(database: SqliteDatabase, name: 'application_id' | 'user_version'): number {
  return database.prepare(`PRAGMA ${name}`).get()?.[0] as number
}

/** Brings a file from `version` (0: empty) to `SCHEMA_VERSION`; all of it or nothing. */
export function migrate(database: SqliteDatabase, version: number): void {
  if (version === SCHEMA_VERSION) return
  database.exec('BEGIN IMMEDIATE')
  try {
    for (const step of MIGRATIONS.slice(version)) database.exec(step)
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`)
    database.exec('COMMIT')
  } catch (cause) {
    database.exec('ROLLBACK')
    throw cause
  }
}
