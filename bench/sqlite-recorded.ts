/**
 * The bare SQLite beside the storage: what the storage wrote is recorded, and written again by nobody but SQLite.
 *
 * "The same rows, bytes and batch" is then meant literally: the file beside it has the same rows, written in the same commits.
 * Recording is a small part of what the storage is measured with. Not here: what is written.
 */
import {
  type SqliteDatabase,
  type SqliteDriver,
  type SqliteStatement,
  type SqliteValue,
  sqliteStorage,
} from '@tidemark/storage-sqlite'

export interface Written {
  readonly sql: string
  readonly values: readonly SqliteValue[]
}

const WRITES = /^(BEGIN IMMEDIATE|COMMIT|ROLLBACK|INSERT|UPDATE|DELETE)/

export interface Recorder {
  readonly driver: SqliteDriver
  /** What was written since it was asked last. */
  take(): readonly Written[]
}

export function recorder(driver: SqliteDriver): Recorder {
  let written: Written[] = []
  const watched = (sql: string, statement: SqliteStatement): SqliteStatement => ({
    get: (...values) => statement.get(...values),
    all: (...values) => statement.all(...values),
    iterate: (...values) => statement.iterate(...values),
    run(...values) {
      // The storage uses the memory of what it writes again.
      written.push({ sql, values: values.map((value) => (value instanceof Uint8Array ? value.slice() : value)) })
      return statement.run(...values)
    },
  })
  return {
    driver: {
      ...driver,
      open(path, options): SqliteDatabase {
        const database = driver.open(path, options)
        const prepare = (sql: string) =>
          WRITES.test(sql) ? watched(sql, database.prepare(sql)) : database.prepare(sql)
        return { ...database, prepare }
      },
    },
    take() {
      const taken = written
      written = []
      return taken
    },
  }
}

export interface Bare {
  prepare(sql: string): SqliteStatement
  replay(written: readonly Written[]): void
  close(): void
}

/** An empty file with our tables at `path`, as durable as ours and with as much memory. */
export async function openBare(driver: SqliteDriver, path: string): Promise<Bare> {
  const storage = sqliteStorage({ path, driver })
  storage.open()
  await storage.close()
  const database = driver.open(path)
  database.exec('PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000')
  // The open of ours was recorded, with the row of its generation.
  database.exec('DELETE FROM generation')
  const statements = new Map<string, SqliteStatement>()
  const prepare = (sql: string) => {
    const statement = statements.get(sql) ?? database.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  return {
    prepare,
    replay(written) {
      for (const { sql, values } of written) prepare(sql).run(...values)
    },
    close: () => database.close(),
  }
}
