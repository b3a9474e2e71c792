/**
 * A Jazz client's own storage: cojson's SQLite storage over a file, which can be copied and opened again like a device
 * that was restored from a backup.
 */
import { getSqliteStorage } from 'cojson'
import Database from 'libsql'

/** cojson's storage on the SQLite file `path`; `:memory:` for one that ends with the client. */
export const clientStorage = (path) => getSqliteStorage(driver(path))

/**
 * Makes a client forget which documents it has not uploaded yet.
 *
 * A client resumes those by itself when it connects; without that list only a comparison of storages can find them.
 */
export function forgetUnsynced(path) {
  const database = new Database(path)
  database.exec('DELETE FROM unsynced_covalues')
  database.close()
}

function driver(path) {
  const database = new Database(path)
  // The checks never crash the machine; without this, thousands of small commits would wait for the disk.
  database.exec('PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY')
  const prepared = new Map()
  const prepare = (sql) => {
    const known = prepared.get(sql)
    if (known) return known
    const statement = database.prepare(sql)
    prepared.set(sql, statement)
    return statement
  }
  const run = (sql, parameters = []) => void prepare(sql).run(parameters)
  return {
    run,
    get: (sql, parameters) => prepare(sql).get(parameters),
    query: (sql, parameters) => prepare(sql).all(parameters),
    transaction(operations) {
      run('BEGIN')
      try {
        operations()
        run('COMMIT')
      } catch (error) {
        run('ROLLBACK')
        throw error
      }
    },
    closeDb: () => database.close(),
  }
}
