/**
 * All SQL of a store that is open, prepared once.
 *
 * Bulk look-ups take a JSON array and answer the position of what they found, so that any number of ids is one query. Ids and
 * keys are answered as bytes, see `textOf`. What may be empty is coalesced: Node 22 binds empty bytes as NULL.
 */
import type { SqliteDatabase, SqliteStatement } from './driver.ts'

const SQL = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  beginReading: 'BEGIN',
  endReading: 'END',
  checkpoint: 'PRAGMA wal_checkpoint(PASSIVE)',

  state: 'SELECT state, sequence FROM document WHERE id = ?',
  states: 'SELECT e.key, d.state, d.sequence FROM json_each(?) e JOIN document d ON d.id = e.value',
  document: 'SELECT key, state, sequence FROM document WHERE id = ?',
  addDocument: 'INSERT INTO document (id, key, sequence, state) VALUES (?, ?, ?, ?)',
  setDocument: 'UPDATE document SET sequence = ?, state = ? WHERE id = ?',
  list: 'SELECT CAST(id AS BLOB) FROM document WHERE id > ? ORDER BY id LIMIT ?',
  changes: 'SELECT CAST(id AS BLOB), sequence FROM document WHERE sequence > ? ORDER BY sequence LIMIT ?',

  chunk: 'SELECT entries FROM chunk WHERE key = ?',
  setChunk: 'INSERT INTO chunk (key, entries) VALUES (?, ?) ON CONFLICT DO UPDATE SET entries = excluded.entries',
  removeChunk: 'DELETE FROM chunk WHERE key = ?',

  namesOf: 'SELECT s.key, CAST(s.id AS BLOB) FROM json_each(?) e JOIN session s ON s.key = e.value',
  keysOf: 'SELECT s.key, e.key FROM json_each(?) e JOIN session s ON s.id = e.value',
  addSession: 'INSERT INTO session (key, id) VALUES (?, ?)',

  first: 'SELECT packed FROM first WHERE document = ?',
  firsts: `SELECT e.key, f.packed FROM json_each(?) e JOIN document d ON d.id = e.value
    JOIN first f ON f.document = d.key`,
  addFirst: 'INSERT INTO first (document, packed) VALUES (?, ?)',
  setFirst: 'UPDATE first SET packed = ? WHERE document = ?',

  pieces: 'SELECT segment, packed FROM piece WHERE document = ? AND session = ? AND until > ? ORDER BY until LIMIT ?',
  piecesBack: `SELECT segment, packed, until FROM piece WHERE document = ? AND session = ? ORDER BY until DESC`,
  addPiece: 'INSERT INTO piece (document, session, until, segment, packed) VALUES (?, ?, ?, ?, ?)',
  removePiece: 'DELETE FROM piece WHERE document = ? AND session = ? AND until = ?',
  removePieces: 'DELETE FROM piece WHERE document = ? AND session = ?',
  segment: 'SELECT packed FROM segment WHERE key = ?',
  segmentBytes: 'SELECT length(packed) FROM segment WHERE key = ?',
  addSegment: 'INSERT INTO segment (key, packed) VALUES (?, ?)',
  removeSegment: 'DELETE FROM segment WHERE key = ?',
  removeSegments: `DELETE FROM segment WHERE key IN
    (SELECT segment FROM piece WHERE document = ? AND session = ? AND segment IS NOT NULL)`,

  verifier: 'SELECT state FROM verifier WHERE document = ? AND session = ?',
  setVerifier: "INSERT OR REPLACE INTO verifier (document, session, state) VALUES (?, ?, coalesce(?, x''))",
  removeVerifier: 'DELETE FROM verifier WHERE document = ? AND session = ?',

  marks: 'SELECT CAST(key AS BLOB), value FROM mark WHERE key >= ? AND key > ? ORDER BY key',
  setMark: "INSERT OR REPLACE INTO mark (key, value) VALUES (?, coalesce(?, x''))",
  removeMark: 'DELETE FROM mark WHERE key = ?',

  mapEntries: 'SELECT CAST(key AS BLOB), counter, CAST(actor AS BLOB), bytes FROM map_entry WHERE map = ? ORDER BY key',
  mapEntry: 'SELECT counter, CAST(actor AS BLOB), bytes FROM map_entry WHERE map = ? AND key = ?',
  setMapEntry: `INSERT OR REPLACE INTO map_entry (map, key, counter, actor, bytes)
    VALUES (?, ?, ?, ?, iif(?, NULL, coalesce(?, x'')))`,

  generations: 'SELECT id, sequence FROM generation ORDER BY open',
  addGeneration: 'INSERT INTO generation (id, sequence) VALUES (?, ?)',
  forgetGenerations: 'DELETE FROM generation WHERE open <= (SELECT max(open) FROM generation) - ?',

  greatestDocument: 'SELECT max(document) FROM first',
  greatestSequence: 'SELECT max(sequence) FROM document',
  greatestSession: 'SELECT max(key) FROM session',
  greatestSegment: 'SELECT max(key) FROM segment',
  greatestChunk: 'SELECT max(key) FROM chunk',
} as const

export type Statements = Readonly<Record<keyof typeof SQL, SqliteStatement>>

export function prepareAll(database: SqliteDatabase): Statements {
  const prepared = Object.entries(SQL).map(([name, sql]) => [name, database.prepare(sql)])
  return Object.fromEntries(prepared) as Statements
}
