/**
 * The driver for better-sqlite3, the default.
 *
 * The library is loaded when a store is opened, not when this module is imported: who uses `nodeSqlite` never loads it.
 */
import { createRequire } from 'node:module'
import type Database from 'better-sqlite3'
import type { SqliteDatabase, SqliteDriver, SqliteStatement } from './driver.ts'

export const betterSqlite3: SqliteDriver = {
  name: 'better-sqlite3',
  open(path, options) {
    const Library = createRequire(import.meta.url)('better-sqlite3') as typeof Database
    return wrap(new Library(path, { timeout: 0, readonly: options?.readOnly ?? false }))
  },
  resultCode(cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    // Extended codes carry the primary one in front: SQLITE_IOERR_WRITE.
    return /^SQLITE_([A-Z]+)/.exec(code)?.[1]
  },
}

function wrap(database: Database.Database): SqliteDatabase {
  return {
    exec: (sql) => void database.exec(sql),
    close: () => void database.close(),
    prepare(sql) {
      const statement = database.prepare(sql)
      return (statement.reader ? statement.raw() : statement) as unknown as SqliteStatement
    },
  }
}
