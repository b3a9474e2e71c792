/**
 * A process that opens a store and keeps it until it is killed. Arguments: the path of the store, the driver, and as which user
 * (a number; none: as who started it).
 */
import { betterSqlite3, sqliteStorage } from '../../src/index.ts'
import { nodeSqlite } from '../../src/node-sqlite.ts'

const [path, driver, user] = process.argv.slice(2) as [string, string, string?]
if (user !== undefined) {
  // The library is loaded now, from where that user may not read.
  sqliteStorage({ path: ':memory:' }).open()
  process.setuid?.(Number(user))
}
try {
  sqliteStorage({ path, driver: driver === 'node' ? nodeSqlite : betterSqlite3 }).open()
  console.log('open')
  setInterval(() => {}, 1000)
} catch (cause) {
  console.log(JSON.stringify(cause), String(cause))
}
