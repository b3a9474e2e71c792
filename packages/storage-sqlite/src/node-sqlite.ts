/**
 * The driver for `node:sqlite`: nothing to install, and better-sqlite3 is never loaded.
 *
 * An entry of its own (`@tidemark/storage-sqlite/node-sqlite`), because importing `node:sqlite` prints a warning on some
 * versions of Node and fails on others.
 */
import { DatabaseSync } from 'node:sqlite'
import type { SqliteDatabase, SqliteDriver, SqliteStatement } from './driver.ts'

export const nodeSqlite: SqliteDriver = {
  name: 'node:sqlite',
  open: (path, options) => wrap(new DatabaseSync(path, { timeout: 0, readOnly: options?.readOnly ?? false })),
  resultCode(cause) {
    if (!(cause instanceof Error) || !('errcode' in cause) || typeof cause.errcode !== 'number') return undefined
    return RESULT_CODES[cause.errcode & 0xff] ?? 'ERROR'
  },
}

/** Primary result codes by number, as SQLite documents them. */
const RESULT_CODES: Record<number, string> = {
  3: 'PERM',
  5: 'BUSY',
  6: 'LOCKED',
  7: 'NOMEM',
  8: 'READONLY',
  10: 'IOERR',
  11: 'CORRUPT',
  13: 'FULL',
  14: 'CANTOPEN',
  18: 'TOOBIG',
  19: 'CONSTRAINT',
  26: 'NOTADB',
}

function wrap(database: DatabaseSync): SqliteDatabase {
  return {
    exec: (sql) => database.exec(sql),
    close: () => database.close(),
    prepare(sql) {
      const statement = database.prepare(sql)
      statement.setReturnArrays(true)
      return statement as unknown as SqliteStatement
    },
  }
}
