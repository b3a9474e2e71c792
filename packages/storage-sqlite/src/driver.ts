/**
 * What this package needs of a SQLite library: little enough that two of them fit.
 *
 * `betterSqlite3` (better-sqlite3.ts) and `nodeSqlite` (node-sqlite.ts) are the drivers that the tests run; anything of this
 * shape will do, such as a wrapper that counts statements. A driver translates, it decides nothing: paths, pragmas, locks and
 * errors are those of this package.
 */

export type SqliteValue = string | number | Uint8Array | null

/** The values of a row in the order of the columns. */
export type SqliteRow = readonly SqliteValue[]

export interface SqliteStatement {
  get(...values: SqliteValue[]): SqliteRow | undefined
  all(...values: SqliteValue[]): readonly SqliteRow[]
  /** Steps as it is asked; leaving the loop early ends the statement. Nothing is written meanwhile. */
  iterate(...values: SqliteValue[]): Iterable<SqliteRow>
  run(...values: SqliteValue[]): unknown
}

export interface SqliteDatabase {
  exec(sql: string): void
  prepare(sql: string): SqliteStatement
  close(): void
}

export interface SqliteDriver {
  readonly name: string
  /**
   * Opens or creates the file at an absolute path, or `:memory:`; a busy database is an error at once. `readOnly`: never
   * creates or changes it.
   */
  open(path: string, options?: { readonly readOnly?: boolean }): SqliteDatabase
  /** The primary result code of what SQLite threw, such as `FULL` or `IOERR`; `undefined` if it was not SQLite. */
  resultCode(cause: unknown): string | undefined
}
