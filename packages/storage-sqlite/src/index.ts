/**
 * Documents in one SQLite file. `@tidemark/storage-sqlite/node-sqlite` has the driver for `node:sqlite`.
 */
export { betterSqlite3 } from './better-sqlite3.ts'
export type { SqliteDatabase, SqliteDriver, SqliteRow, SqliteStatement, SqliteValue } from './driver.ts'
export { type SqliteStorage, type SqliteStorageOptions, sqliteStorage } from './storage.ts'
